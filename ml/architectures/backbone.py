"""Networks of `keras.applications` with a new head."""

from collections.abc import Callable

import keras
from keras import layers

from ml.architectures.blocks import scaled
from ml.architectures.options import NetworkOptions
from ml.architectures.requirements import require_color, require_side
from ml.architectures.weights import Weights, load_backbone

MINIMUM_SIZE_PX = 32
DROPOUT = 0.3
MOMENTUM = 0.9  # of the running statistics where they begin at nothing; ImageNet's has 0.999
OPTIONS = frozenset({"dropout"})


def build_on_backbone(
    name: str,
    application: Callable[..., keras.Model],
    input_shape: tuple[int, int, int],
    classes: int,
    weights: Weights,
    options: NetworkOptions,
    *,
    scales_itself: bool = False,
    **arguments: object,
) -> keras.Model:
    """Build the network `name` on the maps of `application`, called with `arguments`.

    A backbone that does not scale its pictures itself gets them in -1..1. The head
    standardises the embedding with the training pictures' statistics, so that one learning
    rate fits every backbone. Without weights, running statistics follow the batches more
    quickly: as `keras.applications` has them they take thousands of steps to be of use.
    Raises TrainingError("bad_color") for grey pictures,
    TrainingError("bad_image_size") below 32 px, and what `load_backbone` raises.
    """
    require_color(name, input_shape)
    require_side(name, input_shape, MINIMUM_SIZE_PX)
    if scales_itself:
        arguments["include_preprocessing"] = True
    loaded = load_backbone(application, weights, input_shape=input_shape, **arguments)
    if weights == "none":
        for layer in loaded.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.momentum = MOMENTUM
    # Some applications look their blocks up by their own name, so it is changed afterwards.
    backbone = keras.Model(loaded.input, loaded.output, name="backbone")
    image = keras.Input(input_shape, dtype="uint8", name="image")
    pixels = layers.Rescaling(1.0, name="scaling")(image) if scales_itself else scaled(image)
    features = keras.Model(image, backbone(pixels), name="features")
    dropout = DROPOUT if options.dropout is None else options.dropout
    head = keras.Sequential(
        [
            keras.Input((features.output.shape[-1],)),
            layers.BatchNormalization(
                center=False,
                scale=False,
                epsilon=1e-6,
                trainable=False,
                dtype="float32",
                name="standardise",
            ),
            layers.Dropout(dropout, dtype="float32"),
            layers.Dense(classes, dtype="float32", name="logits"),
        ],
        name="head",
    )
    pooled = layers.GlobalAveragePooling2D(name="embedding", dtype="float32")(features(image))
    return keras.Model(image, head(pooled), name=name)
