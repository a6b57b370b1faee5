"""What the families are built of."""

import keras
from keras import layers

from ml.architectures.normalisation import FusedBatchNormalization


def scaled(image: keras.KerasTensor) -> keras.KerasTensor:
    """Bring uint8 pixels to -1..1."""
    return layers.Rescaling(1 / 127.5, offset=-1, name="scaling")(image)


def convolution(
    x: keras.KerasTensor,
    filters: int,
    *,
    kernel_size: int = 3,
    strides: int = 1,
    activation: str | None = "relu",
    momentum: float = 0.8,
) -> keras.KerasTensor:
    """Convolve without bias, then normalise over the batch (Ioffe & Szegedy 2015).

    The weights begin as He et al. 2015 advise. `momentum` is that of the running
    statistics: low for trainings of few steps.
    """
    x = layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )(x)
    x = FusedBatchNormalization(momentum=momentum, epsilon=1e-5)(x)
    return x if activation is None else layers.Activation(activation)(x)


def linear_head(depth: int, classes: int, *, dropout: float = 0.0) -> keras.Sequential:
    """Return the head (batch, depth) → logits (batch, classes), in float32."""
    before = [layers.Dropout(dropout, dtype="float32")] if dropout else []
    return keras.Sequential(
        [
            keras.Input((depth,)),
            *before,
            layers.Dense(classes, dtype="float32", name="logits"),
        ],
        name="head",
    )


def network_of_maps(
    image: keras.KerasTensor,
    maps: keras.KerasTensor,
    classes: int,
    *,
    name: str,
    pooling: type[layers.Layer] = layers.GlobalAveragePooling2D,
    dropout: float = 0.0,
) -> keras.Model:
    """Put pooling and a linear head on feature maps (batch, h, w, depth)."""
    features = keras.Model(image, maps, name="features")
    embedding = pooling(name="embedding")(features(image))
    head = linear_head(maps.shape[-1], classes, dropout=dropout)
    return keras.Model(image, head(embedding), name=name)


def weigh_channels(x: keras.KerasTensor, units: int, *, gate: str) -> keras.KerasTensor:
    """Weigh each channel by what all of them show on average (Hu et al. 2018).

    `units` is how many numbers the averages are squeezed to, `gate` what turns them into
    weights from 0 to 1.
    """
    filters = x.shape[-1]
    weights = layers.GlobalAveragePooling2D(keepdims=True)(x)
    weights = layers.Conv2D(units, 1, activation="relu")(weights)
    weights = layers.Conv2D(filters, 1, activation=gate)(weights)
    return layers.Multiply()([x, weights])
