"""What a LiteRT network must be before it is served: checked before it may run."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from ml.artifact import NETWORK_NAME, ArtifactMetadata
from ml.errors import ArtifactError
from ml.preprocessing import Preprocessing

INPUT = "image"

MAX_TENSOR_ELEMENTS = 1 << 24  # 64 MB of floats; MobileNetV2 at 224 px has 1.2 million
FLATBUFFER_IDENTIFIER = b"TFL3"  # bytes 4 to 8 of every LiteRT network


def input_shape(preprocessing: Preprocessing) -> tuple[int, int, int]:
    """Return the height, width and channels of a prepared picture."""
    channels = 1 if preprocessing.color == "grey" else 3
    return preprocessing.height_px, preprocessing.width_px, channels


def check_flatbuffer(path: Path) -> None:
    """Refuse a file that is no LiteRT network.

    Raises:
        ArtifactError: `bad_network`.
    """
    with path.open("rb") as file:
        head = file.read(8)
    if head[4:8] != FLATBUFFER_IDENTIFIER:
        raise bad_network(path, f"it is no LiteRT network (it begins with {head!r})")


def check_tensors(path: Path) -> None:
    """Refuse NaN and infinite weights, and tensors whose claimed size is not their real one.

    The interpreter has no delegate: XNNPACK packs the weights away from sight, and trusts
    claimed shapes to the point of reading beyond the end of the file. What has no data
    before anything is allocated is computed, not constant.
    """
    interpreter = Interpreter(
        model_path=str(path),
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    subgraphs = range(interpreter.num_subgraphs())
    claimed = {
        (subgraph, tensor["index"]): tensor
        for subgraph in subgraphs
        for tensor in interpreter.get_tensor_details(subgraph)
    }
    for (subgraph, index), tensor in claimed.items():
        if _elements(tensor) > MAX_TENSOR_ELEMENTS:
            raise bad_network(path, f"{tensor['name']} claims {_elements(tensor)} numbers")
        if not np.isfinite(tensor["quantization_parameters"]["scales"]).all():
            raise _nan_weights(path, tensor["name"])
        if np.dtype(tensor["dtype"]).kind == "f":
            try:
                weights = interpreter.get_tensor(index, subgraph)
            except ValueError:
                continue
            if not np.isfinite(weights).all():
                raise _nan_weights(path, tensor["name"])
    interpreter.allocate_tensors()
    for tensor in interpreter.get_tensor_details(0):
        before = claimed.get((0, tensor["index"]))
        if before is not None and _elements(before) > _elements(tensor):
            raise bad_network(
                path,
                f"{tensor['name']} claims {_elements(before)} numbers and has {_elements(tensor)}",
            )


def _elements(tensor: dict[str, Any]) -> int:
    return math.prod(tensor["shape"].tolist())


def check_signature(runner: Any, metadata: ArtifactMetadata) -> None:
    """Refuse inputs and outputs that are not those of the metadata.

    Raises:
        ArtifactError: `bad_network` or `labels_mismatch`.
    """
    path = Path(NETWORK_NAME)
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    if set(inputs) != {INPUT}:
        raise bad_network(path, f"its inputs must be {INPUT}, received {sorted(inputs)}")
    expected = (1, *input_shape(metadata.preprocessing))
    received = tuple(int(side) for side in inputs[INPUT]["shape"])
    if received != expected or inputs[INPUT]["dtype"] is not np.uint8:
        raise bad_network(
            path,
            f"its input must be uint8 {expected} as the preprocessing says, received "
            f"{np.dtype(inputs[INPUT]['dtype'])} {received}",
        )
    if missing := {"logits", "embedding"} - set(outputs):
        raise bad_network(path, f"it lacks the outputs {', '.join(sorted(missing))}")
    shapes = {name: tuple(map(int, output["shape"])) for name, output in outputs.items()}
    ranks = {"logits": 2, "embedding": 2, "activation": 4}
    for name, rank in ranks.items():
        if name in outputs and (
            len(shapes[name]) != rank
            or min(shapes[name]) < 1
            or outputs[name]["dtype"] is not np.float32
        ):
            raise bad_network(
                path,
                f"{name} must be float32 with {rank} axes, received "
                f"{np.dtype(outputs[name]['dtype'])} {shapes[name]}",
            )
    for name in ("logits", "activation"):
        if name in outputs and shapes[name][-1] != len(metadata.labels):
            raise ArtifactError(
                "labels_mismatch",
                f"The metadata has {len(metadata.labels)} labels, but {name} of the network "
                f"has {shapes[name][-1]} classes. Export the network and its labels together.",
            )


def bad_network(path: Path, fault: str) -> ArtifactError:
    """Return the error for a network that cannot be used, and what to do about it."""
    return ArtifactError(
        "bad_network",
        f"{path.name} cannot be used: {fault}. Train or export the model version again, or "
        "activate another.",
    )


def _nan_weights(path: Path, tensor: str) -> ArtifactError:
    return ArtifactError(
        "nan_weights",
        f"{path.name} has NaN or infinite weights in {tensor}. Train the model version "
        "again, or activate another.",
    )
