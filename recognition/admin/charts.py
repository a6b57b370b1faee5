"""Where the marks of a chart stand, for templates that draw it as SVG. Lengths are user units."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time

from django.utils.formats import date_format

from ml.drift import ENOUGH
from recognition.audit import WEEK, FieldAccuracy, Week
from recognition.models import Activation
from recognition.overview import Day

WIDTH, HEIGHT = 760, 260
LEFT, RIGHT, TOP, BOTTOM = 48, 16, 28, 30
GRID_STEPS = (0.02, 0.05, 0.1, 0.2)
MOST_GRID_LINES = 5
TICKS = 6  # dates below the axis
LOWEST_SPAN = 0.1  # of the accuracies shown: noise must not fill the whole height


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of the grid, or a mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One week: its accuracy and its interval."""

    x: float
    y: float
    low_y: float
    high_y: float
    is_small: bool
    """Of fewer pictures than tell anything by themselves."""
    week: Week


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Accuracy by week, for `trend.svg`."""

    points: tuple[Point, ...]
    path: str
    """The `points` attribute of a line through all weeks."""
    rows: tuple[Line, ...]
    ticks: tuple[Line, ...]
    changes: tuple[Line, ...]
    """Activations of a version."""
    test_y: float | None
    """Where the active version's test accuracy lies."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """The uploads of one day."""

    x: float
    y: float
    width: float
    height: float
    day: Day


def trend(
    field: FieldAccuracy, activations: Iterable[Activation], test_accuracy: float | None
) -> Trend:
    """Lay out the accuracy of each week with its interval, and when a version took over."""
    seen = [(number, week) for number, week in enumerate(field.weeks) if week.share.n]
    accuracies = [week.share.accuracy or 0.0 for _number, week in seen]
    lows = [week.share.interval[0] for _number, week in seen if week.share.n >= ENOUGH]
    given = [] if test_accuracy is None else [test_accuracy]
    lowest = min([*accuracies, *lows, *given, 1 - LOWEST_SPAN])
    step = next((s for s in GRID_STEPS if (1 - lowest) / s <= MOST_GRID_LINES), GRID_STEPS[-1])
    floor = max(0.0, math.floor(lowest / step + 1e-9) * step)

    def y_of(fraction: float) -> float:
        share = (max(fraction, floor) - floor) / (1 - floor)
        return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)

    across = (WIDTH - LEFT - RIGHT) / len(field.weeks)
    points = tuple(
        Point(
            x=round(LEFT + (number + 0.5) * across, 1),
            y=y_of(week.share.accuracy or 0.0),
            low_y=y_of(week.share.interval[0]),
            high_y=y_of(week.share.interval[1]),
            is_small=week.share.n < ENOUGH,
            week=week,
        )
        for number, week in seen
    )
    return Trend(
        points=points,
        path=" ".join(f"{point.x},{point.y}" for point in points),
        rows=tuple(
            Line(at=y_of(floor + step * number), text=f"{100 * (floor + step * number):.0f}")
            for number in range(round((1 - floor) / step) + 1)
        ),
        ticks=_ticks(field.weeks, across),
        changes=tuple(_changes(field.weeks, activations)),
        test_y=None if test_accuracy is None else y_of(test_accuracy),
    )


def bars(days: Sequence[Day], *, width: int = WIDTH, height: int = 120) -> tuple[Bar, ...]:
    """Lay out the uploads of each day as bars; the highest has the whole height."""
    most = max([day.uploads for day in days], default=0) or 1
    across = width / max(1, len(days))
    return tuple(
        Bar(
            x=round(number * across + 2, 1),
            y=round(height - height * day.uploads / most, 1),
            width=round(across - 4, 1),
            height=round(height * day.uploads / most, 1),
            day=day,
        )
        for number, day in enumerate(days)
    )


def _ticks(weeks: Sequence[Week], across: float) -> tuple[Line, ...]:
    every = max(1, -(-len(weeks) // TICKS))
    return tuple(
        Line(at=round(LEFT + (number + 0.5) * across, 1), text=date_format(week.starts, "j M"))
        for number, week in enumerate(weeks)
        if number % every == 0
    )


def _changes(weeks: Sequence[Week], activations: Iterable[Activation]) -> Iterable[Line]:
    """Yield a mark for each activation within the weeks; those too near share their text."""
    start = datetime.combine(weeks[0].starts, time(), UTC)
    span = WEEK * len(weeks)
    last_at = -math.inf
    for activation in activations:
        fraction = (activation.activated_at - start) / span
        if not 0 <= fraction <= 1:
            continue
        at = round(LEFT + fraction * (WIDTH - LEFT - RIGHT), 1)
        is_near = at - last_at < 30
        yield Line(at=at, text="" if is_near else f"v{activation.version.number}")
        last_at = at if not is_near else last_at
