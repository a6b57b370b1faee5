"""What a served network says of prepared pictures; everything that is fitted rests on it."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.dataset import Example
from ml.inference import Classifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Logits and embeddings of n pictures, with what is known of them."""

    logits: npt.NDArray[np.float32]
    """(n, classes), before calibration."""
    embeddings: npt.NDArray[np.float32]
    """(n, depth)."""
    truth: npt.NDArray[np.int32]
    """(n,), the index of the right class."""
    examples: tuple[Example, ...]
    """The n pictures, in the same order."""


def served_outputs(
    classifier: Classifier,
    pictures: npt.NDArray[np.uint8],
    truth: npt.NDArray[np.int32],
    examples: Sequence[Example],
) -> Outputs:
    """Classify prepared pictures (n, height, width, channels), n at least 1, on all cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(classifier.classify, pictures))
    return Outputs(
        logits=np.stack([result.logits for result in results]),
        embeddings=np.stack([result.embedding for result in results]),
        truth=truth,
        examples=tuple(examples),
    )
