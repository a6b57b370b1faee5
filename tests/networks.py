"""Tiny real networks and version folders for tests, made in milliseconds without TensorFlow.

The network averages each colour over the picture and weighs the three averages into one
logit per class, so that a test knows the answer: with the weights of `COLOR_LABELS`, a red
picture is "red". The activation weighs the averages of squares of `POOL_PX` in the same way.
"""

from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from ml.artifact import NETWORK_NAME, NOVELTY_NAME, ArtifactMetadata, write_artifact
from ml.novelty import NoveltyModel
from ml.preprocessing import Preprocessing

COLOR_LABELS = ("blue", "green", "red")
COLOR_WEIGHTS = 10 * np.eye(3, dtype=np.float32)[::-1]  # rows: labels; columns: red, green, blue
POOL_PX = 8
SIZE_PX = 32
OUTPUTS = ("logits", "embedding", "activation")

_TYPES = {
    "uint8": schema.TensorType.UINT8,
    "int8": schema.TensorType.INT8,
    "int32": schema.TensorType.INT32,
    "float16": schema.TensorType.FLOAT16,
    "float32": schema.TensorType.FLOAT32,
}


def color_network(
    weights: npt.NDArray[np.floating[Any]] = COLOR_WEIGHTS,
    *,
    size_px: int = SIZE_PX,
    input_dtype: str = "uint8",
    signature: str = "serve",
    outputs: tuple[str, ...] = OUTPUTS,
) -> bytes:
    """Return a .tflite network for pictures of `size_px` squared.

    `weights` (classes, channels) apply to colours from 0 to 1. In float16 they are stored
    and dequantized as a real export does; in float32 they are used as they are.
    """
    classes, channels = weights.shape
    cells = size_px // POOL_PX
    builtin = schema.BuiltinOperator
    graph = _Graph()

    image = graph.tensor("image", (1, size_px, size_px, channels), input_dtype)
    floats = graph.tensor("floats", (1, size_px, size_px, channels))
    graph.operator(builtin.CAST, [image], floats)

    pooled = graph.tensor("pooled", (1, cells, cells, channels))
    pool = schema.Pool2DOptionsT()
    pool.padding = schema.Padding.VALID
    pool.strideW = pool.strideH = pool.filterWidth = pool.filterHeight = POOL_PX
    graph.operator(builtin.AVERAGE_POOL_2D, [floats], pooled, pool)

    embedding = graph.tensor("embedding", (1, channels))
    axes = graph.constant("axes", np.array([1, 2], np.int32))
    graph.operator(builtin.MEAN, [pooled, axes], embedding, schema.ReducerOptionsT())

    scaled = (weights / 255).astype(weights.dtype)
    bias = graph.constant("bias", np.zeros(classes, np.float32))
    head = graph.weights("head", scaled)
    logits = graph.tensor("logits", (1, classes))
    dense = schema.FullyConnectedOptionsT()
    graph.operator(builtin.FULLY_CONNECTED, [embedding, head, bias], logits, dense)

    kernel = graph.weights("kernel", scaled.reshape(classes, 1, 1, channels))
    activation = graph.tensor("activation", (1, cells, cells, classes))
    convolution = schema.Conv2DOptionsT()
    convolution.strideW = convolution.strideH = 1
    graph.operator(builtin.CONV_2D, [pooled, kernel, bias], activation, convolution)

    tensors = dict(zip(OUTPUTS, (logits, embedding, activation), strict=True))
    return graph.write(signature, {"image": image}, {name: tensors[name] for name in outputs})


def color_metadata(labels: tuple[str, ...] = COLOR_LABELS, **changes: Any) -> ArtifactMetadata:
    """Return metadata that fit `color_network`."""
    fields: dict[str, Any] = {
        "name": "Colours",
        "labels": labels,
        "preprocessing": Preprocessing(height_px=SIZE_PX, width_px=SIZE_PX),
        "architecture": "cnn",
        "parameters": 4 * len(labels),
        "config": {"epochs": 3, "seed": 7},
        "temperature": 1.0,
        "dataset": {
            "fingerprint": "f" * 64,
            "counts": {label: {"train": 70, "validation": 15, "test": 15} for label in labels},
            "sources": ["colours"],
        },
        "libraries": {"keras": "3.15.1"},
        "created_at": "2026-11-22T10:00:00+00:00",
        "files": {},
    }
    return ArtifactMetadata(**(fields | changes))


def color_novelty(depth: int = 3) -> bytes:
    """Return a novelty.npz for which one or two colours are known, and three are novel."""
    return NoveltyModel(
        means=np.eye(depth, dtype=np.float16),
        axes=np.zeros((depth, 0), np.float16),
        variances=np.zeros(0, np.float32),
        rest_variance=1.0,
        threshold=0.48,
    ).to_bytes()


HONEST: dict[str, Any] = {
    "prediction_set_thresholds": {"0.90": 0.0, "0.95": 0.9},
    "files": {NOVELTY_NAME: color_novelty()},
}
"""For `write_color_artifact`: plain colours have one answer, red with green two, grey none."""


def write_color_artifact(
    directory: Path,
    labels: tuple[str, ...] = COLOR_LABELS,
    *,
    network: bytes | None = None,
    files: dict[str, bytes] | None = None,
    **changes: Any,
) -> ArtifactMetadata:
    """Write a version folder that recognizes plain colours, in about a millisecond."""
    content = color_network() if network is None else network
    return write_artifact(
        directory, color_metadata(labels, **changes), {NETWORK_NAME: content, **(files or {})}
    )


class _Graph:
    """Collects tensors, buffers and operators, then writes the flatbuffer."""

    def __init__(self) -> None:
        self.tensors: list[Any] = []
        self.buffers = [schema.BufferT()]  # the first is empty, by convention
        self.operators: list[Any] = []
        self.codes: list[Any] = []

    def tensor(self, name: str, shape: tuple[int, ...], dtype: str = "float32") -> int:
        """Add what is computed; return its index."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, list(shape), _TYPES[dtype]
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, name: str, data: npt.NDArray[Any]) -> int:
        """Add what is stored; return its index."""
        index = self.tensor(name, data.shape, str(data.dtype))
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data.tobytes(), np.uint8)
        self.tensors[index].buffer = len(self.buffers)
        self.buffers.append(buffer)
        return index

    def weights(self, name: str, data: npt.NDArray[Any]) -> int:
        """Add stored weights and, where they are halves, what makes floats of them."""
        stored = self.constant(name, data)
        if data.dtype != np.float16:
            return stored
        floats = self.tensor(f"{name} floats", data.shape)
        self.operator(schema.BuiltinOperator.DEQUANTIZE, [stored], floats)
        return floats

    def operator(self, builtin: int, inputs: list[int], output: int, options: Any = None) -> None:
        """Add a step of the computation, after those before it."""
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = 1
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes)
        operator.inputs, operator.outputs = inputs, [output]
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        self.codes.append(code)
        self.operators.append(operator)

    def write(self, signature: str, inputs: dict[str, int], outputs: dict[str, int]) -> bytes:
        """Return the flatbuffer with one signature."""
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = list(inputs.values()), list(outputs.values())
        definition = schema.SignatureDefT()
        definition.signatureKey = signature
        definition.inputs = [_named_tensor(*item) for item in inputs.items()]
        definition.outputs = [_named_tensor(*item) for item in outputs.items()]
        network = schema.ModelT()
        network.version = 3
        network.subgraphs, network.buffers = [graph], self.buffers
        network.operatorCodes, network.signatureDefs = self.codes, [definition]
        builder = flatbuffers.Builder(4096)
        builder.Finish(network.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _named_tensor(name: str, index: int) -> Any:
    named = schema.TensorMapT()
    named.name, named.tensorIndex = name, index
    return named
