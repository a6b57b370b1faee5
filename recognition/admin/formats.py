"""How the admin writes what was measured of a version, for people."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext

from recognition.models import ModelVersion
from recognition.templatetags.presentation import percent

MISSING = "–"

Metrics = Mapping[str, Any]


def percent_or_dash(fraction: float | None) -> str:
    """Return a fraction in [0, 1] as percent, or a dash where there is none."""
    return MISSING if fraction is None else percent(fraction)


def accuracy(metrics: Metrics) -> str:
    """Return a version's test accuracy with its 95 % interval, or a dash."""
    return _with_interval(metrics.get("accuracy"), metrics.get("accuracy_interval"))


def metric_rows(versions: Sequence[ModelVersion]) -> list[tuple[str, list[str]]]:
    """Return (name of the figure, its value for each version) for a table side by side."""
    measured: list[Metrics] = [version.metrics for version in versions]
    return [
        (gettext("accuracy (95 % interval)"), [accuracy(m) for m in measured]),
        (
            gettext("right class among the first three"),
            [_with_interval(m.get("top3_accuracy"), m.get("top3_interval")) for m in measured],
        ),
        (gettext("F1, mean of the classes"), [_number(m.get("macro_f1"), 3) for m in measured]),
        (gettext("log loss"), [_number(m.get("log_loss"), 3) for m in measured]),
        (gettext("calibration error"), [percent_or_dash(m.get("ece")) for m in measured]),
        (gettext("test pictures"), [_number(m.get("n"), 0) for m in measured]),
        (gettext("classes"), [_number(len(version.labels), 0) for version in versions]),
    ]


def class_rows(metrics: Metrics) -> list[tuple[str, list[str]]]:
    """Return (label, its figures as texts) of each class, the lowest recall first."""
    scores = sorted(metrics.get("per_class", ()), key=lambda score: score["recall"])
    return [
        (
            score["label"],
            [
                _with_interval(score["recall"], score.get("recall_interval")),
                percent(score["precision"]),
                _number(score["f1"], 3),
                _number(score["support"], 0),
            ],
        )
        for score in scores
    ]


def _with_interval(fraction: float | None, interval: Sequence[float] | None) -> str:
    if fraction is None or interval is None:
        return percent_or_dash(fraction)
    low, high = map(percent, interval)
    return f"{percent(fraction)} ({low}–{high})"


def _number(value: float | None, decimals: int) -> str:
    return MISSING if value is None else number_format(value, decimals, force_grouping=True)
