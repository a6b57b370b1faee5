"""Keras network → `model.tflite`, which serves without TensorFlow.

One forward pass gives logits, embedding and, where there are feature maps, the
class-activation map. The weights are stored in float16: half the file at the same speed. The
batch is fixed at one picture, for batching gains nothing on a CPU.
"""

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ml.conversion import converted
from ml.errors import TrainingError
from ml.network_checks import MAX_TENSOR_ELEMENTS

MOST_LAYERS_TRIED = 150  # converting more than these takes as long as a small training


def round_to_float16(network: keras.Model) -> None:
    """Round the weights to what a float16 file can hold.

    So the network that is evaluated and kept is the one that is served, not a finer one.
    """
    limit = float(np.finfo(np.float16).max)
    network.set_weights(
        [
            np.clip(array, -limit, limit).astype(np.float16).astype(array.dtype)
            if np.issubdtype(array.dtype, np.floating)
            else array
            for array in network.get_weights()
        ]
    )


def check_exportable(network: keras.Model, *, views: int = 1) -> None:
    """Find out before a training whether its network could be served after it.

    No weight and no layer's output may have more numbers than the loader accepts, and the
    untrained network is converted on trial. A backbone of hundreds of layers is not: its
    layers are those of `keras.applications` whatever the data, and the trial would cost
    more than it can tell. `views` is how many of a picture are looked at at once. Raises
    TrainingError("cannot_export").
    """
    layers = list(_layers(network))
    for layer in layers:
        shapes = [weight.shape for weight in layer.weights]
        shapes += [(views, *tensor.shape[1:]) for tensor in keras.tree.flatten(layer.output)]
        largest = max((math.prod(shape) for shape in shapes), default=0)
        if largest > MAX_TENSOR_ELEMENTS:
            raise TrainingError(
                "cannot_export",
                f"The layer {layer.name!r} of {network.name} would hold {largest:,} numbers at "
                f"once; at most {MAX_TENSOR_ELEMENTS:,} can be served. Choose smaller pictures "
                "or a narrower network.",
            )
    if len(layers) <= MOST_LAYERS_TRIED:
        export_litert(network)


def export_litert(network: keras.Model, *, float16: bool = True) -> bytes:
    """Convert a float32 network of `ml.architectures` to a LiteRT flatbuffer.

    Signature "serve": `image` uint8 (1, height, width, channels) → `logits` (1, classes),
    `embedding` (1, depth) and, for a network with `features`, `activation`
    (1, h, w, classes), all float32. The weights are stored in float16, or as they are. Raises
    TrainingError("cannot_export") when the converter refuses.
    """
    return converted(_server(network), network.input_shape[1:], name=network.name, float16=float16)


def _server(network: keras.Model) -> Any:
    """Return the function from a picture to everything that is served."""
    pool, head = network.get_layer("embedding"), network.get_layer("head")
    names = {layer.name for layer in network.layers}
    if "features" not in names:
        embed = keras.Model(network.input, pool.output)

        def serve_vector(image: Any) -> dict[str, Any]:
            embedding = embed(image, training=False)
            return {"logits": head(embedding, training=False), "embedding": embedding}

        return serve_vector

    features = network.get_layer("features")
    classes = network.output_shape[-1]

    def serve_maps(image: Any) -> dict[str, Any]:
        maps = features(image, training=False)
        embedding = pool(maps)
        height, width, depth = maps.shape[1:]
        # The head at every position: for a linear head exactly Zhou's 1×1 convolution.
        positions = head(tf.reshape(maps, (height * width, depth)), training=False)
        return {
            "logits": head(embedding, training=False),
            "embedding": embedding,
            "activation": tf.reshape(positions, (1, height, width, classes)),
        }

    return serve_maps


def _layers(network: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yield every layer, also those inside other networks."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer
