"""MobileNets from `keras.applications` with a new head: photographs on ordinary CPUs.

- `mobilenet_v2`: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear
  Bottlenecks". Embedding of 1,280; 2.3 million parameters with twelve classes at 224×224×3.
- `mobilenet_v3_small`: Howard et al. 2019, "Searching for MobileNetV3". Embedding of 576;
  0.95 million parameters.

Input (batch, height, width, 3) uint8, at least 32×32. The head standardises the embedding
with the training pictures' statistics, so that one learning rate fits every backbone.
"""

import keras
from keras import layers

from ml.architectures.options import NetworkOptions
from ml.architectures.weights import Weights, load_backbone
from ml.errors import TrainingError

MINIMUM_SIZE_PX = 32
DROPOUT = 0.3


def build_v2(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build MobileNetV2, which wants its pictures scaled to -1..1."""
    _check(input_shape)
    backbone = load_backbone(
        keras.applications.MobileNetV2, weights, input_shape=input_shape, name="backbone"
    )
    image = keras.Input(input_shape, dtype="uint8", name="image")
    scaled = layers.Rescaling(1 / 127.5, offset=-1, name="scaling")(image)
    return _with_head(image, backbone(scaled), classes, name="mobilenet_v2")


def build_v3_small(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build MobileNetV3-Small, whose backbone scales its pictures itself."""
    _check(input_shape)
    backbone = load_backbone(
        keras.applications.MobileNetV3Small,
        weights,
        input_shape=input_shape,
        include_preprocessing=True,
        name="backbone",
    )
    image = keras.Input(input_shape, dtype="uint8", name="image")
    floats = layers.Rescaling(1.0, name="scaling")(image)
    return _with_head(image, backbone(floats), classes, name="mobilenet_v3_small")


def _with_head(
    image: keras.KerasTensor, maps: keras.KerasTensor, classes: int, *, name: str
) -> keras.Model:
    features = keras.Model(image, maps, name="features")
    head = keras.Sequential(
        [
            keras.Input((maps.shape[-1],)),
            layers.BatchNormalization(
                center=False,
                scale=False,
                epsilon=1e-6,
                trainable=False,
                dtype="float32",
                name="standardise",
            ),
            layers.Dropout(DROPOUT, dtype="float32"),
            layers.Dense(classes, dtype="float32", name="logits"),
        ],
        name="head",
    )
    pooled = layers.GlobalAveragePooling2D(name="embedding", dtype="float32")(features(image))
    return keras.Model(image, head(pooled), name=name)


def _check(input_shape: tuple[int, int, int]) -> None:
    height_px, width_px, channels = input_shape
    if channels != 3:
        raise TrainingError(
            "bad_color", f"A MobileNet needs colour pictures; received {channels} channel(s)."
        )
    if min(height_px, width_px) < MINIMUM_SIZE_PX:
        raise TrainingError(
            "bad_image_size",
            f"A MobileNet needs pictures of at least {MINIMUM_SIZE_PX} px; "
            f"received {width_px}×{height_px}.",
        )
