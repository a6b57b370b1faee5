"""A function of a picture → a LiteRT flatbuffer."""

import tempfile
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from ml.errors import TrainingError

SIGNATURE = "serve"


def converted(
    function: Callable[[Any], dict[str, Any]],
    input_shape: tuple[int, ...],
    *,
    name: str,
    float16: bool = False,
) -> bytes:
    """Convert a function from one picture, uint8 (1, *input_shape), to named outputs.

    The flatbuffer has the signature `SIGNATURE` with the input `image`; `float16` stores the
    weights so. They become constants before TensorFlow saves the function for the converter,
    as it takes several times as long to save and read variables. `name` is for people.
    Raises TrainingError("cannot_export") when the converter refuses.
    """
    image = tf.TensorSpec((1, *input_shape), tf.uint8, name="image")
    try:
        traced = tf.function(function).get_concrete_function(image)
        names = sorted(traced.structured_outputs)  # the order in which they are flattened
        constant = convert_variables_to_constants_v2(traced, lower_control_flow=False)
        module = tf.Module()
        module.serve = tf.function(
            lambda image: dict(zip(names, constant(image), strict=True)), input_signature=[image]
        )
        with tempfile.TemporaryDirectory(prefix="lacewing-conversion-") as directory:
            # Nobody learns from it, and the gradient of swish holds what is no constant.
            options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
            tf.saved_model.save(
                module, directory, signatures={SIGNATURE: module.serve}, options=options
            )
            converter = tf.lite.TFLiteConverter.from_saved_model(
                directory, signature_keys=[SIGNATURE]
            )
            if float16:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.target_spec.supported_types = [tf.float16]
            return bytes(converter.convert())
    except Exception as error:
        raise TrainingError(
            "cannot_export", f"LiteRT cannot run the network {name!r}: {error}"
        ) from error
