"""Does a recognizer still do in the field what it did before? Counts of weeks, and their rules."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ml.significance import binomial_tail, wilson_interval

ENOUGH: Final = 20  # audited pictures; fewer are pooled with those of the week before
ENOUGH_BEFORE: Final = 40
WEEKS_BEFORE: Final = 12  # a longer memory would not notice a slow fall
CHANCE: Final = 0.01  # how often what does not change may seem to

Direction = Literal["fell", "rose", "steady", "unknown"]


@dataclass(frozen=True, slots=True)
class Share:
    """How many of some audited pictures were answered rightly."""

    right: int
    n: int

    @property
    def accuracy(self) -> float | None:
        """`right` of `n`; None where nothing was audited."""
        return self.right / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, 95 %."""
        return wilson_interval(self.right, self.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The latest weeks against those before them."""

    recent: Share
    recent_weeks: int
    """How many weeks `recent` pools."""
    before: Share
    direction: Direction


def pooled(shares: Iterable[Share]) -> Share:
    """Return the pictures of all shares as one."""
    right = n = 0
    for share in shares:
        right += share.right
        n += share.n
    return Share(right, n)


def change(weeks: Sequence[Share]) -> Change:
    """Compare the latest weeks with those before. `weeks` are in order, the latest last.

    *Recent* is the latest week in which anything was audited, with the weeks before it pooled
    in until it has `ENOUGH` pictures. *Before* is the `WEEKS_BEFORE` weeks before those,
    pooled. Accuracy "fell" when the whole 95 % interval of recent lies below the accuracy
    before, and so few right answers would come by chance in fewer than `CHANCE` of the weeks;
    it "rose" when the same holds for the wrong ones; else it is "steady". Where recent has
    fewer than `ENOUGH` pictures or before fewer than `ENOUGH_BEFORE` it is "unknown".

    The second condition is there because every week is looked at. Simulated with 35 audited
    pictures a week of which 90 % are right, what does not change seems to fall in 1 week of
    100; by the interval alone it would in 6. A fall by 20 points is noticed in the same week 3
    times in 4, one by 10 points within five weeks 6 times in 10.
    """
    last = len(weeks)
    while last and not weeks[last - 1].n:
        last -= 1
    first = last
    while first and pooled(weeks[first:last]).n < ENOUGH:
        first -= 1
    recent = pooled(weeks[first:last])
    before = pooled(weeks[max(0, first - WEEKS_BEFORE) : first])
    return Change(
        recent=recent,
        recent_weeks=last - first,
        before=before,
        direction=_direction(recent, before),
    )


def _direction(recent: Share, before: Share) -> Direction:
    accuracy = before.accuracy
    if accuracy is None or recent.n < ENOUGH or before.n < ENOUGH_BEFORE:
        return "unknown"
    low, high = recent.interval
    # After Laplace: that nothing was wrong before does not make an error impossible.
    expected = (before.right + 1) / (before.n + 2)
    if high < accuracy and binomial_tail(recent.right, recent.n, expected) < CHANCE:
        return "fell"
    wrong = recent.n - recent.right
    if low > accuracy and binomial_tail(wrong, recent.n, 1 - expected) < CHANCE:
        return "rose"
    return "steady"
