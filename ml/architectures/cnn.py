"""A small convolutional network for little pictures, trained from scratch.

A 5×5 convolution of stride 2 comes first: on a CPU it makes training two to three times as
fast as a stride-1 stem. Every convolution has no bias and is followed by batch
normalisation (Ioffe & Szegedy 2015) and ReLU; He initialisation (He et al. 2015).

Input (batch, height, width, 1 or 3) uint8, at least 16×16; 64,194 parameters with ten
classes at 28×28×1. Above 40 px the stem is followed by pooling stages of doubled depth
until the maps are small, so that photographs do not make it slow: 1.2 million parameters
at 96×96×3.
"""

import keras
from keras import layers

from ml.architectures.options import NetworkOptions
from ml.architectures.weights import Weights
from ml.errors import TrainingError

MINIMUM_SIZE_PX = 16
STEM_FILTERS = 24
FIRST_FILTERS = 32
LARGEST_FILTERS = 256
LAST_MAP_SIDE = 8  # maps larger than this are pooled once more


def build(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build the network; `weights` must be "none", for there is nothing to download.

    Raises TrainingError("bad_weights") for other weights and TrainingError("bad_image_size")
    below 16 px.
    """
    height_px, width_px, _ = input_shape
    if weights != "none":
        raise TrainingError(
            "bad_weights",
            f"The architecture cnn is trained from scratch; received --weights {weights}, "
            "allowed: none.",
        )
    if min(height_px, width_px) < MINIMUM_SIZE_PX:
        raise TrainingError(
            "bad_image_size",
            f"The architecture cnn needs pictures of at least {MINIMUM_SIZE_PX} px; "
            f"received {width_px}×{height_px}.",
        )
    image = keras.Input(input_shape, dtype="uint8", name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="scaling")(image)
    x = _convolution(x, STEM_FILTERS, kernel_size=5, strides=2)
    filters = FIRST_FILTERS
    x = _convolution(x, filters)
    x = layers.MaxPooling2D()(x)
    filters *= 2
    x = _convolution(x, filters)
    while min(x.shape[1:3]) > LAST_MAP_SIDE:
        x = layers.MaxPooling2D()(x)
        filters = min(2 * filters, LARGEST_FILTERS)
        x = _convolution(x, filters)
    x = _convolution(x, filters)
    features = keras.Model(image, x, name="features")
    head = keras.Sequential(
        [keras.Input((filters,)), layers.Dense(classes, dtype="float32", name="logits")],
        name="head",
    )
    pooled = layers.GlobalMaxPooling2D(name="embedding")(features(image))
    return keras.Model(image, head(pooled), name="cnn")


def _convolution(
    x: keras.KerasTensor, filters: int, *, kernel_size: int = 3, strides: int = 1
) -> keras.KerasTensor:
    x = layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    x = layers.BatchNormalization(momentum=0.8, epsilon=1e-5)(x)
    return layers.ReLU()(x)
