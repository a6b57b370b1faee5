"""Probabilities and right labels → how good a classifier is, with intervals. NumPy only."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.comparison import ClassChange, Comparison, Flip, Verdict, aligned, checked_truth, compare
from ml.reliability import calibration_error, reliability_bins
from ml.significance import wilson_interval

__all__ = [
    "ClassChange",
    "ClassScore",
    "Comparison",
    "EvaluationReport",
    "Flip",
    "Verdict",
    "aligned",
    "compare",
    "evaluate",
    "format_results",
    "wilson_interval",
]

MIN_PROBABILITY = 1e-12  # a right class given 0 costs 27.6 nats, not infinity

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """How one class fared. A ratio with nothing to divide by is 0."""

    label: str
    precision: float
    """Of the pictures given this label, the share that has it."""
    recall: float
    """Of the pictures that have this label, the share that was given it."""
    recall_interval: Interval
    f1: float
    """Harmonic mean of precision and recall."""
    support: int
    """Pictures that have this label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """How good a classifier is on n pictures it has not seen. Intervals are Wilson's, 95 %."""

    labels: tuple[str, ...]
    n: int
    accuracy: float
    accuracy_interval: Interval
    top3_accuracy: float
    top3_interval: Interval
    macro_f1: float
    """Mean F1 of the classes that have pictures: each counts the same."""
    log_loss: float
    """Mean of -ln(probability of the right label)."""
    ece: float
    """Expected calibration error, see `ml.reliability`."""
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Pictures by right label (row) and given label (column)."""

    def to_dict(self) -> dict[str, object]:
        """Return what JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from `to_dict`'s result, also after a trip through JSON.

        Raises:
            ValueError: a field is missing, unknown or of the wrong form.
        """
        try:
            return cls(
                **{
                    **values,
                    "labels": tuple(values["labels"]),
                    "accuracy_interval": _interval(values["accuracy_interval"]),
                    "top3_interval": _interval(values["top3_interval"]),
                    "per_class": tuple(
                        ClassScore(
                            **{**score, "recall_interval": _interval(score["recall_interval"])}
                        )
                        for score in values["per_class"]
                    ),
                    "confusion": tuple(tuple(map(int, row)) for row in values["confusion"]),
                }
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"Not an evaluation report: {error}.") from error


def evaluate(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, labels: Sequence[str]
) -> EvaluationReport:
    """Score probabilities against the right labels.

    Args:
        probabilities: (n, c) in [0, 1], n at least 1.
        truth: (n,) whole numbers, the index of the right label.
        labels: the c class names.

    Raises:
        ValueError: shapes that do not fit, values that are not probabilities.
    """
    right = checked_truth(probabilities, truth, labels)
    values = np.asarray(probabilities, np.float64)
    n, classes = values.shape
    order = np.argsort(-values, axis=1, kind="stable")
    given = order[:, 0]
    hits = int((given == right).sum())
    top3_hits = int((order[:, :3] == right[:, np.newaxis]).any(axis=1).sum())
    confusion = np.zeros((classes, classes), np.int64)
    np.add.at(confusion, (right, given), 1)
    per_class = tuple(_class_score(confusion, index, label) for index, label in enumerate(labels))
    return EvaluationReport(
        labels=tuple(labels),
        n=n,
        accuracy=hits / n,
        accuracy_interval=wilson_interval(hits, n),
        top3_accuracy=top3_hits / n,
        top3_interval=wilson_interval(top3_hits, n),
        macro_f1=float(np.mean([score.f1 for score in per_class if score.support])),
        log_loss=float(-np.log(np.maximum(values[np.arange(n), right], MIN_PROBABILITY)).mean()),
        ece=calibration_error(reliability_bins(values[np.arange(n), given], given == right)),
        per_class=per_class,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
    )


def format_results(report: EvaluationReport, incumbent: EvaluationReport | None = None) -> str:
    """Return an aligned table for a terminal: the candidate, and the incumbent beside it.

    Shares are percentages with their 95 % interval; a class only one of the two knows has
    a dash in the other's column.
    """
    columns = [_column(report)]
    header = ["", "candidate"]
    if incumbent is not None:
        columns.append(_column(incumbent))
        header.append("incumbent")
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [header, *([name, *(column.get(name, "—") for column in columns)] for name in names)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _column(report: EvaluationReport) -> dict[str, str]:
    """Return row title → cell for one report."""
    cells = {
        "test pictures": f"{report.n:6}",
        "accuracy": _share(report.accuracy, report.accuracy_interval),
        "one of the first 3": _share(report.top3_accuracy, report.top3_interval),
        "mean F1 of classes": f"{report.macro_f1:6.3f}",
        "log loss": f"{report.log_loss:6.3f}",
        "calibration error": f"{report.ece:6.3f}",
    }
    for score in report.per_class:
        cells[f"recall {score.label}"] = (
            f"{_share(score.recall, score.recall_interval)} of {score.support}"
        )
    return cells


def _share(value: float, interval: Interval) -> str:
    return f"{value:6.1%} [{interval[0]:.1%}, {interval[1]:.1%}]"


def _interval(values: Sequence[float]) -> Interval:
    low, high = values
    return float(low), float(high)


def _class_score(confusion: npt.NDArray[np.int64], index: int, label: str) -> ClassScore:
    hits = int(confusion[index, index])
    support, given = int(confusion[index].sum()), int(confusion[:, index].sum())
    return ClassScore(
        label=label,
        precision=hits / given if given else 0.0,
        recall=hits / support if support else 0.0,
        recall_interval=wilson_interval(hits, support),
        f1=2 * hits / (support + given) if support + given else 0.0,
        support=support,
    )
