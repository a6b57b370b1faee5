"""A network for CPUs: depthwise convolutions, and what is costly only at the end.

Cui et al. 2021, "PP-LCNet: A Lightweight CPU Convolutional Neural Network": H-swish
throughout, 5×5 kernels and squeeze-and-excitation only where maps are small, and one large
layer before the head. Written from the paper's table at scale 1.0; the large layer is
applied to the maps before they are averaged, not after, as MobileNetV3 does with its last
convolution, so that the activation map is exact. There are no ImageNet weights for Keras.

Input (batch, height, width, 1 or 3) uint8, at least 32×32; output (batch, classes) logits.
28×28 is too small for it; with ten classes 1,695,274 parameters at 160×160×3 and 1,694,986 at
32×32×1.

Options: `dropout` of the embedding (0.2).
"""

import keras
from keras import layers

from ml.architectures.blocks import convolution, network_of_maps, scaled, weigh_channels
from ml.architectures.normalisation import FusedBatchNormalization
from ml.architectures.options import NetworkOptions
from ml.architectures.requirements import require_no_weights, require_side
from ml.architectures.weights import Weights

MINIMUM_SIZE_PX = 32
STEM_FILTERS = 16
# Side of the depthwise kernel, filters, stride, whether its channels are weighed: table 1.
BLOCKS = (
    (3, 32, 1, False),
    (3, 64, 2, False),
    (3, 64, 1, False),
    (3, 128, 2, False),
    (3, 128, 1, False),
    (3, 256, 2, False),
    *[(5, 256, 1, False)] * 5,
    (5, 512, 2, True),
    (5, 512, 1, True),
)
LAST_FILTERS = 1280
SQUEEZE = 4
DROPOUT = 0.2
OPTIONS = frozenset({"dropout"})


def build(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build the network; `weights` must be "none".

    Raises TrainingError("bad_weights") for other weights and TrainingError("bad_image_size")
    below 32 px.
    """
    require_no_weights("pp_lcnet", weights)
    require_side("pp_lcnet", input_shape, MINIMUM_SIZE_PX)
    image = keras.Input(input_shape, dtype="uint8", name="image")
    x = convolution(scaled(image), STEM_FILTERS, strides=2, activation="hard_swish")
    for kernel_size, filters, strides, weighs in BLOCKS:
        x = layers.DepthwiseConv2D(
            kernel_size,
            strides=strides,
            padding="same",
            use_bias=False,
            depthwise_initializer="he_normal",
        )(x)
        x = FusedBatchNormalization(momentum=0.8, epsilon=1e-5)(x)
        x = layers.Activation("hard_swish")(x)
        if weighs:
            x = weigh_channels(x, x.shape[-1] // SQUEEZE, gate="hard_sigmoid")
        x = convolution(x, filters, kernel_size=1, activation="hard_swish")
    x = layers.Conv2D(LAST_FILTERS, 1, use_bias=False, kernel_initializer="he_normal")(x)
    x = layers.Activation("hard_swish")(x)
    dropout = DROPOUT if options.dropout is None else options.dropout
    return network_of_maps(image, x, classes, name="pp_lcnet", dropout=dropout)
