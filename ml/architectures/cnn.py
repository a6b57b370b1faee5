"""A small convolutional network for little pictures, trained from scratch.

LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", with what has
been learned since. A 5×5 convolution of stride 2 comes first: on a CPU it makes training
two to three times as fast as a stride-1 stem. Every convolution has no bias and is followed
by batch normalisation (Ioffe & Szegedy 2015) and ReLU; He initialisation (He et al. 2015).

Input (batch, height, width, 1 or 3) uint8, at least 16×16; output (batch, classes) logits.
With ten classes 66,730 parameters at 28×28×1 and 1,585,002 at 160×160×3, for above 40 px
pooling stages of doubled width follow until the maps are small.

Options: `depth` counts all convolutions (4 at 28 px, one more for each further stage);
`width` is the number of filters of the stem and the first stage (32); `dropout` of the
embedding (0). Widths that are multiples of 16 train fastest: for others oneDNN has no
vectorised batch normalisation.
"""

import keras
from keras import layers

from ml.architectures.blocks import convolution, network_of_maps, scaled
from ml.architectures.options import NetworkOptions
from ml.architectures.requirements import require_no_weights, require_side
from ml.architectures.weights import Weights

MINIMUM_SIZE_PX = 16
WIDTH = 32
LARGEST_FILTERS = 256
LAST_MAP_SIDE = 8  # maps larger than this are pooled once more
OPTIONS = frozenset({"depth", "width", "dropout"})


def build(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build the network; `weights` must be "none", for there is nothing to download.

    Raises TrainingError("bad_weights") for other weights and TrainingError("bad_image_size")
    below 16 px.
    """
    require_no_weights("cnn", weights)
    require_side("cnn", input_shape, MINIMUM_SIZE_PX)
    image = keras.Input(input_shape, dtype="uint8", name="image")
    return network_of_maps(
        image,
        trunk(scaled(image), options),
        classes,
        name="cnn",
        pooling=layers.GlobalMaxPooling2D,
        dropout=options.dropout or 0.0,
    )


def trunk(x: keras.KerasTensor, options: NetworkOptions) -> keras.KerasTensor:
    """Return the feature maps (batch, h, w, depth) of scaled pictures."""
    width = options.width or WIDTH
    x = convolution(x, width, kernel_size=5, strides=2)
    stages = _filters(min(x.shape[1:3]), width)
    spread = (options.depth or len(stages) + 2) - 1  # the stem is one of them
    for stage, filters in enumerate(stages):
        if stage:
            x = layers.MaxPooling2D()(x)
        # What does not divide evenly goes to the last stages, where it costs least.
        for _ in range((spread + stage) // len(stages)):
            x = convolution(x, filters)
    return x


def _filters(side: int, width: int) -> list[int]:
    """Return the filters of each stage for maps of `side` after the stem."""
    stages = [width, 2 * width]
    side //= 2
    while side > LAST_MAP_SIDE:
        side //= 2
        stages.append(max(stages[-1], min(2 * stages[-1], LARGEST_FILTERS)))
    return stages
