"""What the report tells of a version: everything worked out, nothing drawn yet. NumPy only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.artifact import ArtifactMetadata
from ml.calibration import softmax
from ml.comparison import Comparison
from ml.conformal import judge_sets
from ml.evaluation import EvaluationReport, evaluate
from ml.examples import Example
from ml.label_errors import suspected_label_errors
from ml.learning_curve import LearningCurve, learning_curve
from ml.novelty import NoveltyModel
from ml.outputs import Outputs
from ml.reliability import ReliabilityBin, reliability_bins
from ml.significance import wilson_interval

PictureOf = Callable[[Example], npt.NDArray[np.uint8]]
"""Example → its prepared picture, uint8 (height, width, 1 or 3)."""

History = Sequence[Mapping[str, float | str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetScore:
    """What the prediction sets of one level are worth on the test pictures."""

    level: float
    """Share of pictures whose right class the sets are to hold."""
    coverage: float
    """Share of test pictures whose right class they hold."""
    coverage_interval: tuple[float, float]
    """Wilson's, 95 %."""
    mean_size: float
    """Classes in a set."""
    single: float
    """Share of sets that name one class only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """How many pictures of known classes are taken for something else."""

    threshold: float
    """Of `ml.novelty`; above it a picture shows none of the classes."""
    n: int
    """Test pictures."""
    refused: float
    """Share of them above the threshold, all of them wrongly."""
    refused_interval: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """A test picture whose first label is wrong."""

    example: Example
    given: str
    """The label it was given."""
    probability: float
    """Of `given`."""
    right_probability: float
    """Of the right label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """A training or validation picture whose label looks wrong."""

    example: Example
    likely: str
    score: float
    """Probability of `likely` less that of the label, above 0 and at most 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContents:
    """Everything that `ml.report` writes down."""

    metadata: ArtifactMetadata
    evaluation: EvaluationReport
    sets: tuple[SetScore, ...]
    """By level; empty without thresholds."""
    reliability: tuple[ReliabilityBin, ...]
    refusals: Refusals | None
    mistakes: tuple[Mistake, ...]
    """All of them, the most confident first."""
    judged_labels: int
    """Pictures whose labels were looked at for errors."""
    suspicions: tuple[Suspicion, ...]
    """The most certain first."""
    curve: LearningCurve | None
    """None where there are too few pictures for one."""
    incumbent: EvaluationReport | None
    comparison: Comparison | None
    history: History
    health_lines: tuple[str, ...]
    notes: tuple[str, ...]
    """Sentences on the limits of this recognizer."""
    examples: tuple[Example, ...]
    """The test pictures."""
    picture_of: PictureOf
    augmented: bytes | None
    """A sheet of augmented samples, PNG or JPEG."""


def gather(
    metadata: ArtifactMetadata,
    *,
    train: Outputs,
    validation: Outputs,
    test: Outputs,
    picture_of: PictureOf,
    history: History,
    health_lines: Sequence[str],
    novelty: NoveltyModel | None = None,
    incumbent: EvaluationReport | None = None,
    comparison: Comparison | None = None,
    notes: Sequence[str] = (),
    augmented: bytes | None = None,
) -> ReportContents:
    """Work out what there is to tell of a version.

    Args:
        metadata: with the temperature, the thresholds of the sets and the counts by split.
        train: of the training pictures or a sample of them, without augmentation.
        validation: what temperature and thresholds were fitted on.
        test: pictures that nothing was fitted on or chosen by.
        picture_of: called for the few pictures that are shown.
        history: one row an epoch, as `ml.plots.training_curves` takes them.
        health_lines: findings about the pictures, one line each.
        novelty: of the version, if it has one.
        incumbent: the active version on the same test pictures.
        comparison: with the incumbent.
        notes: sentences on the limits of this recognizer.
        augmented: a sheet of augmented samples.
    """
    labels = metadata.labels
    probabilities = softmax(test.logits, metadata.temperature)
    given = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(given)), given]
    learned_from = sum(by.get("train", 0) for by in metadata.dataset.get("counts", {}).values())
    return ReportContents(
        metadata=metadata,
        evaluation=evaluate(probabilities, test.truth, labels),
        sets=_set_scores(metadata, probabilities, test.truth),
        reliability=reliability_bins(confidence, given == test.truth),
        refusals=None if novelty is None else _refusals(novelty, test, metadata.temperature),
        mistakes=_mistakes(labels, probabilities, test),
        judged_labels=len(train.truth) + len(validation.truth),
        suspicions=_suspicions(labels, train, validation),
        curve=learning_curve(
            train.embeddings,
            train.truth,
            validation.embeddings,
            validation.truth,
            labels,
            pictures=max(learned_from, len(train.truth)),
        ),
        incumbent=incumbent,
        comparison=comparison,
        history=history,
        health_lines=tuple(health_lines),
        notes=tuple(notes),
        examples=test.examples,
        picture_of=picture_of,
        augmented=augmented,
    )


def phases(history: History) -> list[tuple[str, int, float, float]]:
    """Return (phase, epochs, seconds, best validation accuracy) of each phase of a training."""
    summaries = []
    for phase in dict.fromkeys(str(row["phase"]) for row in history):
        rows = [row for row in history if row["phase"] == phase]
        seconds = sum(float(row.get("seconds", 0)) for row in rows)
        best = max(float(row["val_accuracy"]) for row in rows)
        summaries.append((phase, len(rows), seconds, best))
    return summaries


def _set_scores(
    metadata: ArtifactMetadata,
    probabilities: npt.NDArray[np.float32],
    truth: npt.NDArray[np.int32],
) -> tuple[SetScore, ...]:
    thresholds = metadata.prediction_set_thresholds
    by_level = {float(level): threshold for level, threshold in sorted(thresholds.items())}
    return tuple(
        SetScore(
            level=level,
            coverage=quality.coverage,
            coverage_interval=wilson_interval(round(quality.coverage * len(truth)), len(truth)),
            mean_size=quality.mean_size,
            single=quality.single,
        )
        for level, quality in judge_sets(probabilities, truth, by_level).items()
    )


def _refusals(novelty: NoveltyModel, test: Outputs, temperature: float) -> Refusals:
    scores = novelty.score(test.embeddings, test.logits / temperature)
    refused, n = int((scores > novelty.threshold).sum()), len(scores)
    return Refusals(
        threshold=float(novelty.threshold),
        n=n,
        refused=refused / n,
        refused_interval=wilson_interval(refused, n),
    )


def _mistakes(
    labels: Sequence[str], probabilities: npt.NDArray[np.float32], test: Outputs
) -> tuple[Mistake, ...]:
    given = probabilities.argmax(axis=1)
    mistakes = [
        Mistake(
            example=test.examples[row],
            given=labels[given[row]],
            probability=float(probabilities[row, given[row]]),
            right_probability=float(probabilities[row, test.truth[row]]),
        )
        for row in np.flatnonzero(given != test.truth).tolist()
    ]
    return tuple(sorted(mistakes, key=lambda mistake: -mistake.probability))


def _suspicions(
    labels: Sequence[str], train: Outputs, validation: Outputs
) -> tuple[Suspicion, ...]:
    examples = (*train.examples, *validation.examples)
    found = suspected_label_errors(
        np.concatenate([train.embeddings, validation.embeddings]),
        np.concatenate([train.truth, validation.truth]),
        len(labels),
        groups=[example.group for example in examples],
    )
    return tuple(
        Suspicion(example=examples[one.index], likely=labels[one.likely], score=one.score)
        for one in found
    )
