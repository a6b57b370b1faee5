"""How good a new version is: calibrated on validation, scored on test, exactly as served."""

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.artifact import NETWORK_NAME, ArtifactMetadata, write_artifact
from ml.calibration import fit_temperature
from ml.comparison import Comparison
from ml.dataset import Dataset
from ml.evaluation import EvaluationReport, aligned, compare, evaluate
from ml.inference import Classifier
from ml.pipeline import PictureCache, cache_pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How candidate and incumbent did on the same test pictures."""

    candidate: EvaluationReport
    incumbent: EvaluationReport | None
    comparison: Comparison | None


def calibrated(
    metadata: ArtifactMetadata,
    network: bytes,
    dataset: Dataset,
    cache: PictureCache,
    *,
    scratch: Path,
) -> ArtifactMetadata:
    """Return the metadata with the temperature that fits the validation pictures."""
    pictures, truth = cache.of(dataset.of_split("validation"))
    with _served(metadata, network, scratch) as classifier:
        logits, _ = _classify(classifier, pictures)
    return replace(metadata, temperature=fit_temperature(logits, truth))


def score(
    metadata: ArtifactMetadata,
    network: bytes,
    dataset: Dataset,
    cache: PictureCache,
    *,
    incumbent: Path | None,
    scratch: Path,
) -> Scores:
    """Look at the test pictures, once, with the candidate and with the incumbent.

    `incumbent` is the active version's folder. Each sees the pictures as its own metadata
    prepares them. Raises ArtifactError for an incumbent that does not load.
    """
    tested = dataset.of_split("test")
    pictures, truth = cache.of(tested)
    with _served(metadata, network, scratch) as classifier:
        _, probabilities = _classify(classifier, pictures)
    report = evaluate(probabilities, truth, dataset.labels)
    if incumbent is None:
        return Scores(candidate=report, incumbent=None, comparison=None)
    other = Classifier.load(incumbent)
    if other.preprocessing != metadata.preprocessing:
        only_tested = replace(dataset, examples=tested)
        cache = cache_pictures(only_tested, other.preprocessing, cache_dir=cache.directory)
        pictures, truth = cache.of(tested)
    _, theirs = _classify(other, pictures)
    old = aligned(theirs, other.labels, dataset.labels)
    names = [example.name for example in tested]
    return Scores(
        candidate=report,
        incumbent=evaluate(old, truth, dataset.labels),
        comparison=compare(probabilities, old, truth, dataset.labels, names),
    )


@contextmanager
def _served(metadata: ArtifactMetadata, network: bytes, scratch: Path) -> Iterator[Classifier]:
    """Load a network as a server would, from a folder that goes away again."""
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        draft = Path(directory) / "draft"
        write_artifact(draft, metadata, {NETWORK_NAME: network})
        yield Classifier.load(draft)


def _classify(
    classifier: Classifier, pictures: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return logits and probabilities, both (n, classes), of prepared pictures."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(classifier.classify, pictures))
    return (
        np.stack([result.logits for result in results]),
        np.stack([result.probabilities for result in results]),
    )
