"""What a network costs to run: multiply-adds for one picture, and measured time."""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from ml.inference import Classifier

WARM_UP_RUNS = 3


def count_macs(network: keras.Model, input_shape: tuple[int, int, int]) -> int:
    """Return the multiply-adds of the network for one picture (height, width, channels).

    Counted in TensorFlow's own graph of the network, with constants folded in: convolutions,
    products of matrices and Einstein sums, as the papers of light networks count. Additions
    of biases, normalisation, activations and pooling are left out.
    """
    picture = tf.TensorSpec((1, *input_shape), tf.uint8)
    function = tf.function(lambda image: network(image, training=False))
    frozen = convert_variables_to_constants_v2(function.get_concrete_function(picture))
    return sum(
        COUNTED[operation.type](operation)
        for operation in frozen.graph.get_operations()
        if operation.type in COUNTED
    )


def ms_an_image(classifier: Classifier, *, n: int) -> float:
    """Return the median milliseconds of `n` pictures, one after another on one core.

    Of the served network alone, on noise: preparing the picture is not in it.

    Raises:
        ValueError: n is less than 1.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1, received {n}.")
    size = classifier.preprocessing
    channels = 1 if size.color == "grey" else 3
    picture = np.random.default_rng(0).integers(
        0, 256, (size.height_px, size.width_px, channels), dtype=np.uint8
    )
    for _ in range(WARM_UP_RUNS):
        classifier.classify(picture)
    times_ms = []
    for _ in range(n):
        started_s = time.perf_counter()
        classifier.classify(picture)
        times_ms.append((time.perf_counter() - started_s) * 1000)
    return statistics.median(times_ms)


def _shape(tensor: Any) -> list[int]:
    return list(tensor.shape.as_list())


def _convolution_macs(operation: Any) -> int:
    """Each output number sums the kernel's height × width × input channels products."""
    *kernel, _filters = _shape(operation.inputs[1])
    return math.prod(_shape(operation.outputs[0])) * math.prod(kernel)


def _depthwise_macs(operation: Any) -> int:
    """Each output number sums the kernel's height × width products of one channel."""
    height, width, _channels, _multiplier = _shape(operation.inputs[1])
    return math.prod(_shape(operation.outputs[0])) * height * width


def _product_macs(operation: Any) -> int:
    """Each output number sums as many products as the left factor's summed axis is long."""
    transposed = "transpose_a" if operation.type == "MatMul" else "adj_x"
    summed = _shape(operation.inputs[0])[-2 if operation.get_attr(transposed) else -1]
    return math.prod(_shape(operation.outputs[0])) * summed


def _einsum_macs(operation: Any) -> int:
    """One product for every combination of all indices, summed or not."""
    terms = operation.get_attr("equation").decode().split("->")[0].split(",")
    if len(terms) == 1:  # a sum or a transposition multiplies nothing
        return 0
    lengths: dict[str, int] = {}
    for term, tensor in zip(terms, operation.inputs, strict=True):
        lengths |= zip(term, _shape(tensor), strict=True)
    return math.prod(lengths.values())


COUNTED: dict[str, Callable[[Any], int]] = {
    "Conv2D": _convolution_macs,
    "DepthwiseConv2dNative": _depthwise_macs,
    "MatMul": _product_macs,
    "BatchMatMulV2": _product_macs,
    "BatchMatMulV3": _product_macs,
    "Einsum": _einsum_macs,
}
