"""How a recognizer is used and looked after: uploads, answers, reviews of the last weeks.

Every figure is counted over a few weeks within an index, never over all rows.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from django.contrib.auth import get_user_model
from django.db.models import Count, Exists, OuterRef
from django.utils import timezone

from recognition.audit import week_starts
from recognition.models import Prediction, Recognizer, Review

DAYS: Final = 14
DAY: Final = timedelta(days=1)
REVIEWERS_SHOWN: Final = 20
REVIEWS_COUNTED: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The uploads of one day (UTC)."""

    date: date
    answers: Counter[str]
    """By `Prediction.Answer`; "" where the version promised nothing."""

    @property
    def uploads(self) -> int:
        """How many there were."""
        return self.answers.total()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The last `DAYS` days."""

    days: tuple[Day, ...]
    """In order; the last one is today."""
    waiting: int
    """Of those uploads, how many nobody has reviewed."""

    @property
    def uploads(self) -> int:
        """How many there were."""
        return sum(day.uploads for day in self.days)

    @property
    def reviewed_share(self) -> float | None:
        """The share that somebody has reviewed; None without uploads."""
        return 1 - self.waiting / self.uploads if self.uploads else None

    @property
    def answers(self) -> Counter[str]:
        """All answers, by `Prediction.Answer`."""
        return sum((day.answers for day in self.days), Counter())


def usage(recognizer: Recognizer, *, days: int = DAYS, now: datetime | None = None) -> Usage:
    """Return what was uploaded lately. A short SQL query for each day, and one more.

    One query grouped by day would have SQLite call a Python function for every row.
    """
    today = (now or timezone.now()).astimezone(UTC).date()
    starts = [
        datetime.combine(today, time(), UTC) - DAY * (days - 1 - number) for number in range(days)
    ]
    uploads = Prediction.objects.filter(recognizer=recognizer).order_by()
    since = uploads.filter(created_at__gte=starts[0])
    return Usage(
        days=tuple(
            Day(
                date=start.date(),
                answers=Counter(
                    dict(
                        uploads.filter(created_at__gte=start, created_at__lt=start + DAY)
                        .values_list("answer")
                        .annotate(n=Count("*"))
                    )
                ),
            )
            for start in starts
        ),
        waiting=since.filter(is_open=True).count(),
    )


def reviewers_this_week(
    recognizer: Recognizer, now: datetime | None = None
) -> list[tuple[str, int]]:
    """Return who reviewed how many of the recognizer's pictures since Monday, the busiest first.

    Of the latest `REVIEWS_COUNTED`. Two SQL queries; the first walks back over this week's
    reviews, where a join or a GROUP BY could begin with all that there ever were.
    """
    (monday,) = week_starts(1, now or timezone.now())
    own = Prediction.objects.filter(pk=OuterRef("prediction"), recognizer=recognizer)
    reviews = Review.objects.filter(Exists(own), created_at__gte=monday, is_retraction=False)
    latest = reviews.order_by("-created_at", "-id").values_list("reviewer", flat=True)
    counts = Counter(latest[:REVIEWS_COUNTED])
    users = get_user_model()._default_manager.filter(pk__in=counts)
    named = [(user.get_username(), counts[user.pk]) for user in users]
    return sorted(named, key=lambda one: (-one[1], one[0]))[:REVIEWERS_SHOWN]
