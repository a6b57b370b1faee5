"""The curves of a training as they are drawn on its page, epoch by epoch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

WIDTH: Final = 600  # of the drawing, in its own units
HEIGHT: Final = 220
LEFT: Final = 56  # of the plot: the numbers of its axis stand before it
RIGHT: Final = 590
TOP: Final = 12
BOTTOM: Final = 192
MOST_LINES: Final = 5

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One figure over the epochs, of the training and of the validation pictures."""

    title: str | Promise
    train: str
    """Points of a polyline; empty where there is no epoch yet."""
    validation: str
    grid: tuple[tuple[float, str], ...]
    """Height and text of the horizontal lines."""
    ticks: tuple[tuple[float, str], ...]
    """Place and number of some epochs."""
    phases: tuple[float, ...]
    """Where another phase begins."""
    last: tuple[float, float] | None
    """Where the last epoch's validation figure lies."""


def curves(history: Rows, epochs: int | None) -> list[Curve]:
    """Return the curves of accuracy and loss; of a comparison, those of its last candidate."""
    rows = rows_of_last_candidate(history)
    return [
        _curve(_("Accuracy"), rows, "accuracy", epochs, most=1.0),
        _curve(_("Loss"), rows, "loss", epochs, most=None),
    ]


def rows_of_last_candidate(history: Rows) -> Rows:
    """Return the rows of the candidate that is being trained; all rows of another training."""
    if not history:
        return []
    last = history[-1].get("candidate")
    return [row for row in history if row.get("candidate") == last]


def _curve(
    title: str | Promise, rows: Rows, name: str, epochs: int | None, *, most: float | None
) -> Curve:
    series = {key: [row.get(key) for row in rows] for key in (name, f"val_{name}")}
    values = [value for found in series.values() for value in found if value is not None]
    low, high, step = _range(values, most)
    wide = max(len(rows), epochs or 0, 2)

    def x(position: int) -> float:
        return round(LEFT + (RIGHT - LEFT) * position / (wide - 1), 1)

    def y(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low), 1)

    def points(found: Sequence[float | None]) -> str:
        return " ".join(
            f"{x(position)},{y(value)}" for position, value in enumerate(found) if value is not None
        )

    levels = [low + step * number for number in range(round((high - low) / step) + 1)]
    validation = series[f"val_{name}"]
    return Curve(
        title=title,
        train=points(series[name]),
        validation=points(validation),
        grid=tuple(
            (y(level), f"{level:.0%}" if most is not None else f"{level:.3g}") for level in levels
        ),
        ticks=tuple((x(position), str(position + 1)) for position in _some(wide)),
        phases=tuple(
            x(position) - (RIGHT - LEFT) / (wide - 1) / 2
            for position in range(1, len(rows))
            if rows[position].get("phase") != rows[position - 1].get("phase")
        ),
        last=(
            (x(len(rows) - 1), y(validation[-1]))
            if validation and validation[-1] is not None
            else None
        ),
    )


def _range(values: Sequence[float], most: float | None) -> tuple[float, float, float]:
    """Return the least and largest value to draw, and the step between lines: round numbers."""
    least, largest = min(values, default=0.0), max(values, default=1.0)
    if most is None:
        step = _round_step(largest / MOST_LINES)
        return 0.0, step * max(1, math.ceil(largest / step)), step
    step = _round_step((most - least) / MOST_LINES)
    return most - step * max(1, math.ceil((most - least) / step)), most, step


def _round_step(least: float) -> float:
    """Return the next number of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(least, 1e-3)))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= least)


def _some(wide: int) -> Sequence[int]:
    """Return positions of at most about eight epochs."""
    step = max(1, round(wide / 8))
    return range(0, wide, step)
