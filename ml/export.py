"""Keras network → `model.tflite`, which serves without TensorFlow.

One forward pass gives logits, embedding and class-activation map. The weights are stored in
float16: half the file at the same speed. The batch is fixed at one picture, for batching
gains nothing on a CPU.
"""

import tempfile
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ml.errors import TrainingError

SIGNATURE = "serve"


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


def export_litert(network: keras.Model) -> bytes:
    """Convert a float32 network of `ml.architectures` to a LiteRT flatbuffer.

    Signature "serve": `image` uint8 (1, height, width, channels) → `logits` (1, classes),
    `embedding` (1, depth), `activation` (1, h, w, classes), all float32. Raises
    TrainingError("cannot_export") when the converter refuses.
    """
    features, pool, head = (network.get_layer(name) for name in ("features", "embedding", "head"))
    classes = network.output_shape[-1]

    def serve(image: Any) -> dict[str, Any]:
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

    image = tf.TensorSpec((1, *network.input_shape[1:]), tf.uint8, name="image")
    with tempfile.TemporaryDirectory(prefix="lacewing-export-") as directory:
        archive = keras.export.ExportArchive()
        archive.track(network)
        archive.add_endpoint(SIGNATURE, serve, input_signature=[image])
        archive.write_out(directory, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(directory, signature_keys=[SIGNATURE])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        try:
            return bytes(converter.convert())
        except Exception as error:
            raise TrainingError(
                "cannot_export", f"LiteRT cannot run the network {network.name!r}: {error}"
            ) from error
