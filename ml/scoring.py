"""How good a new version is: scored on test pictures, exactly as it is served."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ml import events
from ml.artifact import NETWORK_NAME, ArtifactMetadata, write_artifact
from ml.calibration import softmax
from ml.comparison import Comparison
from ml.dataset import Dataset, Example
from ml.evaluation import EvaluationReport, aligned, compare, evaluate
from ml.flips import Flips, picture_flips
from ml.inference import Classifier
from ml.outputs import Outputs, served_outputs
from ml.pipeline import PictureCache, cache_pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How candidate and incumbent did on the same test pictures."""

    test: Outputs
    """Of the candidate."""
    candidate: EvaluationReport
    incumbent: EvaluationReport | None
    comparison: Comparison | None
    flips: Flips | None
    """Of the comparison; None where there is none or nobody wants to see the pictures."""


def score(
    metadata: ArtifactMetadata,
    network: bytes,
    dataset: Dataset,
    cache: PictureCache,
    *,
    incumbent: Path | None,
    scratch: Path,
    with_pictures: bool,
) -> Scores:
    """Look at the test pictures, once, with the candidate and with the incumbent.

    `incumbent` is the active version's folder. Each sees the pictures as its own metadata
    prepares them; one that was deleted since the training began is left out where it would have
    to be read again. `with_pictures` asks for the pictures that flipped. Raises ArtifactError for
    an incumbent that does not load.
    """
    tested = dataset.of_split("test")
    other = None if incumbent is None else Classifier.load(incumbent)
    if other is not None and other.preprocessing != metadata.preprocessing:
        tested = _still_there(tested)
    pictures, truth = cache.of(tested)
    with served(metadata, network, scratch) as classifier:
        test = served_outputs(classifier, pictures, truth, tested)
    probabilities = softmax(test.logits, metadata.temperature)
    report = evaluate(probabilities, truth, dataset.labels)
    if other is None:
        return Scores(test=test, candidate=report, incumbent=None, comparison=None, flips=None)
    if other.preprocessing != metadata.preprocessing:
        only_tested = replace(dataset, examples=tested)
        cache = cache_pictures(only_tested, other.preprocessing, cache_dir=cache.directory)
        pictures, truth = cache.of(tested)
    theirs = served_outputs(other, pictures, truth, tested)
    old = aligned(softmax(theirs.logits, other.metadata.temperature), other.labels, dataset.labels)
    names = [example.name for example in tested]
    comparison = compare(probabilities, old, truth, dataset.labels, names)
    flips = None
    if with_pictures:
        with served(metadata, network, scratch) as classifier:
            flips = picture_flips(comparison, tested, candidate=classifier, incumbent=other)
    return Scores(
        test=test,
        candidate=report,
        incumbent=evaluate(old, truth, dataset.labels),
        comparison=comparison,
        flips=flips,
    )


def _still_there(tested: tuple[Example, ...]) -> tuple[Example, ...]:
    """Return the pictures whose file is still there; say so where some are not."""
    left = tuple(example for example in tested if example.path.exists())
    if len(left) < len(tested):
        events.say(f"Not tested on, deleted during the training: {len(tested) - len(left)}.")
    return left


@contextmanager
def served(metadata: ArtifactMetadata, network: bytes, scratch: Path) -> Iterator[Classifier]:
    """Load a network as a server would, from a folder that goes away again."""
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        draft = Path(directory) / "draft"
        write_artifact(draft, metadata, {NETWORK_NAME: network})
        yield Classifier.load(draft)
