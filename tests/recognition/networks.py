"""Tiny real networks for tests, written as LiteRT flatbuffers without TensorFlow.

The network averages each colour over the picture and weighs the three averages into one
logit per class, so that a test knows the answer: with the weights of `COLOR_LABELS`, a red
picture is "red".
"""

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

COLOR_LABELS = ("blue", "green", "red")
COLOR_WEIGHTS = 10 * np.eye(3, dtype=np.float32)[::-1]  # rows: labels; columns: red, green, blue
POOL_PX = 8


class _Graph:
    """Collects tensors, buffers and operators, then writes the flatbuffer."""

    def __init__(self) -> None:
        self.tensors: list[schema.TensorT] = []
        self.buffers = [schema.BufferT()]  # the first is empty, by convention
        self.operators: list[schema.OperatorT] = []
        self.codes: list[schema.OperatorCodeT] = []

    def tensor(
        self, name: str, shape: tuple[int, ...], kind: int, data: npt.NDArray[np.generic] | None
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), list(shape), kind
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def computed(self, name: str, *shape: int) -> int:
        return self.tensor(name, shape, schema.TensorType.FLOAT32, None)

    def constant(self, name: str, data: npt.NDArray[np.float32] | npt.NDArray[np.int32]) -> int:
        is_float = data.dtype == np.float32
        kind = schema.TensorType.FLOAT32 if is_float else schema.TensorType.INT32
        return self.tensor(name, data.shape, kind, data)

    def operator(
        self, builtin: int, inputs: list[int], output: int, options_kind: int, options: object
    ) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = builtin
        code.version = 1
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.codes)
        operator.inputs, operator.outputs = inputs, [output]
        operator.builtinOptionsType, operator.builtinOptions = options_kind, options
        self.codes.append(code)
        self.operators.append(operator)

    def write(self, inputs: dict[str, int], outputs: dict[str, int]) -> bytes:
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs = list(inputs.values()), list(outputs.values())
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = b"serve", 0
        signature.inputs = [_mapping(name, index) for name, index in inputs.items()]
        signature.outputs = [_mapping(name, index) for name, index in outputs.items()]
        network = schema.ModelT()
        network.version = 3
        network.subgraphs, network.buffers = [graph], self.buffers
        network.operatorCodes, network.signatureDefs = self.codes, [signature]
        builder = flatbuffers.Builder(1024)
        builder.Finish(network.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _mapping(name: str, index: int) -> schema.TensorMapT:
    mapping = schema.TensorMapT()
    mapping.name, mapping.tensorIndex = name.encode(), index
    return mapping


def color_network(weights: npt.NDArray[np.float32] = COLOR_WEIGHTS, *, size_px: int = 32) -> bytes:
    """Return a network for `size_px` squares; `weights` float32 (classes, 3)."""
    classes, cells = len(weights), size_px // POOL_PX
    builtin, options = schema.BuiltinOperator, schema.BuiltinOptions
    graph = _Graph()

    image = graph.tensor("image", (1, size_px, size_px, 3), schema.TensorType.UINT8, None)
    floats = graph.computed("floats", 1, size_px, size_px, 3)
    cast = schema.CastOptionsT()
    cast.inDataType, cast.outDataType = schema.TensorType.UINT8, schema.TensorType.FLOAT32
    graph.operator(builtin.CAST, [image], floats, options.CastOptions, cast)

    pooled = graph.computed("pooled", 1, cells, cells, 3)
    pool = schema.Pool2DOptionsT()
    pool.padding = schema.Padding.VALID
    pool.strideW = pool.strideH = pool.filterWidth = pool.filterHeight = POOL_PX
    graph.operator(builtin.AVERAGE_POOL_2D, [floats], pooled, options.Pool2DOptions, pool)

    axes = graph.constant("axes", np.array([1, 2], np.int32))
    embedding = graph.computed("embedding", 1, 3)
    mean = schema.ReducerOptionsT()
    mean.keepDims = False
    graph.operator(builtin.MEAN, [pooled, axes], embedding, options.ReducerOptions, mean)

    scaled = np.ascontiguousarray(weights / 255, dtype=np.float32)
    head = graph.constant("head", scaled)
    bias = graph.constant("bias", np.zeros(classes, np.float32))
    logits = graph.computed("logits", 1, classes)
    dense = schema.FullyConnectedOptionsT()
    graph.operator(
        builtin.FULLY_CONNECTED,
        [embedding, head, bias],
        logits,
        options.FullyConnectedOptions,
        dense,
    )

    kernel = graph.constant("kernel", scaled.reshape(classes, 1, 1, 3))
    activation = graph.computed("activation", 1, cells, cells, classes)
    convolution = schema.Conv2DOptionsT()
    convolution.strideW = convolution.strideH = 1
    graph.operator(
        builtin.CONV_2D, [pooled, kernel, bias], activation, options.Conv2DOptions, convolution
    )
    return graph.write(
        {"image": image}, {"logits": logits, "embedding": embedding, "activation": activation}
    )
