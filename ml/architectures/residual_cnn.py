"""A residual network small enough to learn photographs from scratch on a few CPU cores.

He et al. 2016, "Deep Residual Learning for Image Recognition", with full 3×3 convolutions,
which CPUs run faster than the depthwise ones that save more arithmetic on paper; shortcuts
that average before they project (He et al. 2019, "Bag of Tricks for Image Classification",
ResNet-D); every block begins as its shortcut (Goyal et al. 2017); channels are weighed by
what the whole picture shows (Hu et al. 2018, "Squeeze-and-Excitation Networks").

Input (batch, height, width, 1 or 3) uint8, at least 16×16; output (batch, classes) logits.
Above 40 px the stem halves the picture, and above 80 px it does so twice, as only then the
blocks are quick. With ten classes 1,253,834 parameters at 28×28×1 and 1,263,754 at 160×160×3;
119 million multiplications at 160×160×3, and as many more for the mirror image.

Options: `depth`, residual blocks in each of the four stages (1); `width`, filters of the
first stage (32), doubled in each further one; `dropout` of the embedding (0.2).
"""

import keras
from keras import layers

from ml.architectures.blocks import convolution, network_of_maps, scaled, weigh_channels
from ml.architectures.normalisation import FusedBatchNormalization
from ml.architectures.options import NetworkOptions
from ml.architectures.requirements import require_no_weights, require_side
from ml.architectures.weights import Weights

MINIMUM_SIZE_PX = 16
DEPTH = 1
WIDTH = 32
STAGES = 4
DROPOUT = 0.2
MOMENTUM = 0.9  # of the running statistics; its trainings have thousands of steps
SQUEEZE = 8  # how many times fewer units weigh the channels than there are channels
LARGEST_MAP_SIDE = 40  # of the first stage: maps larger than this are halved by the stem
LEAST_MAP_SIDE = 4  # maps of this side are not halved again
OPTIONS = frozenset({"depth", "width", "dropout"})


def build(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build the network; `weights` must be "none", for there is nothing to download.

    Raises TrainingError("bad_weights") for other weights and TrainingError("bad_image_size")
    below 16 px.
    """
    require_no_weights("residual_cnn", weights)
    require_side("residual_cnn", input_shape, MINIMUM_SIZE_PX)
    width, depth = options.width or WIDTH, options.depth or DEPTH
    image = keras.Input(input_shape, dtype="uint8", name="image")
    x = _stem(scaled(image), width)
    for stage in range(STAGES):
        halve = stage > 0 and min(x.shape[1:3]) > LEAST_MAP_SIDE
        for block in range(depth):
            x = _block(x, width * 2**stage, strides=2 if halve and block == 0 else 1)
    dropout = DROPOUT if options.dropout is None else options.dropout
    return network_of_maps(image, x, classes, name="residual_cnn", dropout=dropout)


def _stem(x: keras.KerasTensor, width: int) -> keras.KerasTensor:
    """Halve large pictures cheaply, then look at them with `width` filters."""
    if min(x.shape[1:3]) > 2 * LARGEST_MAP_SIDE:
        x = convolution(x, width, strides=2, momentum=MOMENTUM)
    if min(x.shape[1:3]) > LARGEST_MAP_SIDE:
        return convolution(x, width, strides=2, momentum=MOMENTUM)
    return convolution(x, width, momentum=MOMENTUM)


def _block(x: keras.KerasTensor, filters: int, *, strides: int) -> keras.KerasTensor:
    """Add to the maps what two convolutions make of them."""
    shortcut = x
    if strides > 1:
        shortcut = layers.AveragePooling2D(strides, padding="same")(shortcut)
    if shortcut.shape[-1] != filters:
        shortcut = convolution(shortcut, filters, kernel_size=1, activation=None, momentum=MOMENTUM)
    x = convolution(x, filters, strides=strides, momentum=MOMENTUM)
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    x = FusedBatchNormalization(momentum=MOMENTUM, epsilon=1e-5, gamma_initializer="zeros")(x)
    x = weigh_channels(x, max(8, filters // SQUEEZE), gate="sigmoid")
    return layers.ReLU()(layers.Add()([shortcut, x]))
