"""A convolutional network that first straightens its picture.

Jaderberg et al. 2015, "Spatial Transformer Networks": a small network reads from the picture
the six numbers of an affine map, the picture is sampled anew along it (bilinearly, so that
gradients pass), and the network of `cnn` sees the result. It begins with the identity.

Input (batch, height, width, 1 or 3) uint8, at least 16×16; output (batch, classes) logits.
With ten classes 89,568 parameters at 28×28×1 and 1,615,808 at 160×160×3. The feature maps lie
in the straightened picture, not in the one that was sent, so it gives no activation.

Options: `depth`, `width` and `dropout` as those of `cnn`.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from ml.architectures.blocks import convolution, linear_head, scaled
from ml.architectures.cnn import MINIMUM_SIZE_PX, OPTIONS, trunk
from ml.architectures.options import NetworkOptions
from ml.architectures.pixels import AreaPooling
from ml.architectures.requirements import require_no_weights, require_side
from ml.architectures.weights import Weights
from ml.sampling import sample_bilinearly

__all__ = ["MINIMUM_SIZE_PX", "OPTIONS", "AffineSampler", "build"]

IDENTITY = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
LOOKED_AT_PX = 32  # larger pictures are averaged down before they are located
LOCATING_FILTERS = (16, 32)
LOCATING_UNITS = 32


@keras.saving.register_keras_serializable(package="lacewing")
class AffineSampler(layers.Layer):  # type: ignore[misc]
    """Sample pictures along affine maps, bilinearly.

    Inputs: pictures (batch, height, width, channels) and maps (batch, 6), the rows of the
    matrix that takes a place (x, y, 1) of the output to a place (x, y) of the picture, where
    -1 and 1 are the centres of the outermost pixels. Beyond them the outermost pixels go on.
    Output like the pictures, float32.
    """

    def __init__(self, **arguments: Any) -> None:
        # Eight bits of bfloat16 cannot tell the columns of a picture apart.
        super().__init__(**{**arguments, "dtype": "float32"})

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Return the sampled pictures."""
        pictures, maps = inputs
        _, height, width, channels = pictures.shape
        middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
        # In whole and half pixels, which a float16 file holds exactly.
        y, x = np.mgrid[-middle_y : middle_y + 1, -middle_x : middle_x + 1].astype(np.float32)
        grid = ops.convert_to_tensor(np.stack([x.ravel(), y.ravel(), np.ones_like(x).ravel()]))
        in_pixels = [[1, middle_x / middle_y, middle_x], [middle_y / middle_x, 1, middle_y]]
        maps = ops.reshape(maps, (-1, 2, 3)) * ops.convert_to_tensor(in_pixels, dtype="float32")
        places = ops.matmul(ops.reshape(maps, (-1, 3)), grid)
        places = ops.reshape(places, (-1, 2, height * width))
        sampled = sample_bilinearly(pictures, places[:, 0] + middle_x, places[:, 1] + middle_y)
        return ops.reshape(sampled, (-1, height, width, channels))

    def compute_output_shape(
        self, input_shape: tuple[tuple[int | None, ...], ...]
    ) -> tuple[int | None, ...]:
        """Return the shape of the pictures."""
        return input_shape[0]


def build(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build the network; `weights` must be "none", for there is nothing to download.

    Raises TrainingError("bad_weights") for other weights and TrainingError("bad_image_size")
    below 16 px.
    """
    require_no_weights("spatial_transformer", weights)
    require_side("spatial_transformer", input_shape, MINIMUM_SIZE_PX)
    image = keras.Input(input_shape, dtype="uint8", name="image")
    pictures = scaled(image)
    straightened = AffineSampler(name="sampler")([pictures, _locate(pictures)])
    maps = trunk(straightened, options)
    embedding = layers.GlobalMaxPooling2D(name="embedding")(maps)
    head = linear_head(maps.shape[-1], classes, dropout=options.dropout or 0.0)
    return keras.Model(image, head(embedding), name="spatial_transformer")


def _locate(pictures: keras.KerasTensor) -> keras.KerasTensor:
    """Read the six numbers of the affine map (batch, 6) from the pictures."""
    height, width = (min(side, LOOKED_AT_PX) for side in pictures.shape[1:3])
    x = AreaPooling(height, width, dtype="float32", name="overview")(pictures)
    for filters in LOCATING_FILTERS:
        x = convolution(x, filters, kernel_size=5, strides=2)
    x = layers.MaxPooling2D()(x)
    x = layers.Dense(LOCATING_UNITS, activation="relu")(layers.Flatten()(x))
    return layers.Dense(
        6,
        kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant(IDENTITY),
        dtype="float32",
        name="map",
    )(x)
