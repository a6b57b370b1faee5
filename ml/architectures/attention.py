"""A small vision transformer: every patch of the picture looks at every other.

Dosovitskiy et al. 2021, "An Image Is Worth 16×16 Words", with learned positions and
normalisation before each step (Xiong et al. 2020). Two changes make it learn from few
pictures: the patches are cut by convolutions of stride 2 (Xiao et al. 2021, "Early
Convolutions Help Transformers See Better"), until at most 10×10 are left, and the mean of
all patches is classified instead of an extra token, so that the head at every patch gives
the activation map.

Input (batch, height, width, 1 or 3) uint8, at least 16×16; output (batch, classes) logits.
With ten classes 330,346 parameters at 28×28×1 and 477,898 at 160×160×3.

Options: `depth`, blocks (4); `width`, numbers for each patch (96), of which each head sees
at most 32; `dropout` within the blocks and of the embedding (0.1).
"""

from typing import Any

import keras
from keras import layers

from ml.architectures.blocks import convolution, network_of_maps, scaled
from ml.architectures.options import NetworkOptions
from ml.architectures.requirements import require_no_weights, require_side
from ml.architectures.weights import Weights

MINIMUM_SIZE_PX = 16
MOST_PATCHES_SIDE = 10
FIRST_FILTERS = 32
DEPTH = 4
WIDTH = 96
HEAD_WIDTH = 32
EXPANSION = 2
DROPOUT = 0.1
OPTIONS = frozenset({"depth", "width", "dropout"})


@keras.saving.register_keras_serializable(package="lacewing")
class Positions(layers.Layer):  # type: ignore[misc]
    """Add to each patch (batch, patches, width) what has been learned of its place."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make room for one row a patch."""
        self.places = self.add_weight(
            name="places",
            shape=input_shape[1:],
            initializer=keras.initializers.RandomNormal(stddev=0.02),
        )

    def call(self, patches: Any) -> Any:
        """Return the patches with their places."""
        return patches + self.places


def build(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build the network; `weights` must be "none", for there is nothing to download.

    Raises TrainingError("bad_weights") for other weights and TrainingError("bad_image_size")
    below 16 px.
    """
    require_no_weights("attention", weights)
    require_side("attention", input_shape, MINIMUM_SIZE_PX)
    width = options.width or WIDTH
    dropout = DROPOUT if options.dropout is None else options.dropout
    image = keras.Input(input_shape, dtype="uint8", name="image")
    maps = _patches(scaled(image), width)
    rows, columns = maps.shape[1:3]
    x = Positions(name="positions")(layers.Reshape((rows * columns, width))(maps))
    for _ in range(options.depth or DEPTH):
        x = _block(x, dropout)
    x = layers.LayerNormalization(epsilon=1e-6)(x)
    maps = layers.Reshape((rows, columns, width))(x)
    return network_of_maps(image, maps, classes, name="attention", dropout=dropout)


def _patches(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
    """Return one row of `width` numbers for each patch, as maps (batch, h, w, width)."""
    filters = FIRST_FILTERS
    while max(x.shape[1:3]) > MOST_PATCHES_SIDE:
        x = convolution(x, min(filters, width), strides=2)
        filters *= 2
    return layers.Conv2D(width, 1)(x)


def _block(x: keras.KerasTensor, dropout: float) -> keras.KerasTensor:
    """Let the patches exchange what they hold, then work on each alone."""
    width = x.shape[-1]
    heads = max(1, -(-width // HEAD_WIDTH))
    inner = layers.LayerNormalization(epsilon=1e-6)(x)
    inner = layers.MultiHeadAttention(heads, max(1, width // heads), dropout=dropout)(inner, inner)
    x = layers.Add()([x, layers.Dropout(dropout)(inner)])
    inner = layers.LayerNormalization(epsilon=1e-6)(x)
    inner = layers.Dense(EXPANSION * width, activation="gelu")(inner)
    inner = layers.Dense(width)(inner)
    return layers.Add()([x, layers.Dropout(dropout)(inner)])
