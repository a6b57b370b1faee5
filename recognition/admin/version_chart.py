"""Accuracy of version after version as a figure: the places of its marks, for a template."""

from collections.abc import Sequence
from dataclasses import dataclass

from recognition.models import ModelVersion
from recognition.templatetags.presentation import percent

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 16, 40  # room for the words around it
MOST_NUMBERS = 12  # below the axis; more would run into each other


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One version: its accuracy and the ends of the interval, in the figure's units."""

    version: ModelVersion
    x: float
    y: float
    y_low: float
    y_high: float
    text: str
    has_number: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The marks from left to right, and the lines behind them."""

    marks: list[Mark]
    lines: list[tuple[float, str]]
    """(y, the percentage that it stands for)."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    foot: int = HEIGHT - BOTTOM + 20


def accuracy_chart(versions: Sequence[ModelVersion]) -> Chart | None:
    """Return the chart of the versions that were measured, oldest first; None below two."""
    measured = [
        (version, accuracy, *_interval(version, accuracy))
        for version in sorted(versions, key=lambda version: version.number)
        if (accuracy := version.metrics.get("accuracy")) is not None
    ]
    if len(measured) < 2:
        return None
    floor = min(low for _v, _a, low, _h in measured)
    floor = max(0.0, int(floor * 20) / 20)  # down to a multiple of 5 %

    def y(fraction: float) -> float:
        return round(TOP + (1 - fraction) / (1 - floor or 1) * (HEIGHT - TOP - BOTTOM), 1)

    step = (WIDTH - LEFT - RIGHT) / len(measured)
    every = -(-len(measured) // MOST_NUMBERS)
    marks = [
        Mark(
            version=version,
            x=round(LEFT + (position + 0.5) * step, 1),
            y=y(accuracy),
            y_low=y(low),
            y_high=y(high),
            text=f"v{version.number}: {percent(accuracy)} ({percent(low)}–{percent(high)})",
            has_number=position % every == 0,
        )
        for position, (version, accuracy, low, high) in enumerate(measured)
    ]
    shares = [floor, (1 + floor) / 2, 1.0]
    return Chart(marks=marks, lines=[(y(share), percent(share)) for share in shares])


def _interval(version: ModelVersion, accuracy: float) -> tuple[float, float]:
    """Return the ends of the interval; of a version measured without one, the accuracy itself."""
    metrics = version.metrics
    low, high = metrics.get("accuracy_interval") or (
        metrics.get("accuracy_low", accuracy),
        metrics.get("accuracy_high", accuracy),
    )
    return low, high
