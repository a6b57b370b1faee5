"""Accuracy in the field: what reviewers say of uploads that were drawn at random.

A small share of the uploads is marked for audit whatever the network said of them
(`Recognizer.audit_share`), so what reviewers settle of those tells how often all uploads are
answered rightly. What reviewers see in the other queues was chosen for being doubtful and
tells nothing of the kind.

An answer is right when reviewers said the predicted label, or when they said "none of the
classes" and so did the answer. Each figure has its 95 % interval after Wilson.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from django.db.models import (
    BooleanField,
    Case,
    Count,
    F,
    IntegerField,
    OuterRef,
    Q,
    Subquery,
    Value,
    When,
)
from django.db.models.lookups import Exact
from django.utils import timezone

from ml.drift import ENOUGH, Change, Share, change, pooled
from recognition.models import SETTLED_STATES, ModelVersion, Prediction, Recognizer, Reprediction
from recognition.reviewing import NONE_OF_THESE

WEEKS: Final = 26
WEEK: Final = timedelta(weeks=1)

_RIGHT: Final = Q(label=F("reviewed_label")) | Q(answer="none", reviewed_label=NONE_OF_THESE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """One week, from Monday 00:00 UTC."""

    starts: date
    share: Share
    versions: tuple[int, ...]
    """The numbers of the versions whose answers were audited, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassAccuracy:
    """Of the audited pictures that show one class, how many were answered rightly."""

    label: str
    """`NONE_OF_THESE` for pictures that show none of the classes."""
    share: Share
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionAccuracy:
    """What one version did in the field, beside what it did on its test pictures."""

    version: ModelVersion
    share: Share
    known: Share
    """Without the pictures that show none of the classes: the test has none of those."""
    is_below_test: bool
    """See `is_below_test`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldAccuracy:
    """What the audited uploads of some weeks say."""

    weeks: tuple[Week, ...]
    """In order, those without audits too; the last is the one under way."""
    total: Share
    change: Change
    classes: tuple[ClassAccuracy, ...]
    """Those that were seen, the least accurate first."""
    versions: tuple[VersionAccuracy, ...]
    """Those that were audited, the newest first."""

    @property
    def has_fallen(self) -> bool:
        """Whether the latest weeks lie below those before by more than chance (`ml.drift`)."""
        return self.change.direction == "fell"

    @property
    def below_test(self) -> VersionAccuracy | None:
        """The active version, if it does worse in the field than its test promised."""
        return next((v for v in self.versions if v.version.is_active and v.is_below_test), None)

    @property
    def is_alarming(self) -> bool:
        """Whether somebody should look: accuracy has fallen, or is below the test's."""
        return self.has_fallen or self.below_test is not None


def field_accuracy(
    recognizer: Recognizer,
    *,
    version: ModelVersion | None = None,
    weeks: int = WEEKS,
    now: datetime | None = None,
) -> FieldAccuracy:
    """Return what the audits of the last `weeks` say, of all versions or of one.

    A prediction counts in the week of its upload, and once reviewers have settled it: the week
    under way and the one before may still grow. Two SQL queries.
    """
    starts = week_starts(weeks, now or timezone.now())
    tallies = _tallies(recognizer, starts, version)
    versions = ModelVersion.objects.filter(pk__in={tally.version_id for tally in tallies})
    known = {row.pk: row for row in versions.select_related("recognizer").order_by("-number")}
    by_week, by_class, by_version = _grouped(tallies, weeks)
    shares = [pooled(t.share for t in by_week[week]) for week in range(weeks)]
    return FieldAccuracy(
        weeks=tuple(
            Week(
                starts=start.date(),
                share=share,
                versions=tuple(sorted({known[t.version_id].number for t in by_week[number]})),
            )
            for number, (start, share) in enumerate(zip(starts, shares, strict=True))
        ),
        total=pooled(shares),
        change=change(shares),
        classes=tuple(sorted((_of_class(*one, weeks) for one in by_class.items()), key=_worst)),
        versions=tuple(_of_version(row, by_version[pk], weeks) for pk, row in known.items()),
    )


def audited_share(version: ModelVersion, *, weeks: int = WEEKS) -> Share:
    """Return how many audited pictures of the last `weeks` the version answered rightly.

    Its own predictions count, and what it said later, in the shadow of another version or
    anew, of pictures that others had predicted: so a challenger can be judged before it
    serves. One SQL query.
    """
    audited = Prediction.objects.filter(
        recognizer=version.recognizer_id,
        is_audit=True,
        created_at__gte=week_starts(weeks, timezone.now())[0],
        state__in=SETTLED_STATES,
    )
    # Not a join, which could begin with all that the version ever said.
    later = Reprediction.objects.filter(prediction=OuterRef("pk"), model_version=version)
    said = later.annotate(
        right=_truth(
            Q(label=OuterRef("reviewed_label"))
            | Q(answer="none") & Q(Exact(OuterRef("reviewed_label"), NONE_OF_THESE))
        )
    )
    verdict = Case(
        When(model_version=version, then=_truth(_RIGHT)), default=Subquery(said.values("right")[:1])
    )
    rows = audited.order_by().annotate(verdict=verdict).values_list("verdict")
    counts = dict(rows.annotate(n=Count("*")))
    return Share(counts.get(True, 0), counts.get(True, 0) + counts.get(False, 0))


def is_below_test(version: ModelVersion, recent: Share) -> bool:
    """Return whether a version does worse in the field than its test pictures promised.

    That is so when the whole 95 % interval of the `recent` share, of pictures that show one of
    the classes and of `ENOUGH` of them, lies below that of its test accuracy. A version whose
    test accuracy is not known is not below it.
    """
    interval = version.metrics.get("accuracy_interval")
    return bool(interval) and recent.n >= ENOUGH and recent.interval[1] < interval[0]


def week_starts(weeks: int, now: datetime) -> list[datetime]:
    """Return the beginnings (UTC) of the last `weeks`, in order; the last one is under way."""
    today = now.astimezone(UTC).date()
    monday = datetime.combine(today - timedelta(days=today.weekday()), time(), UTC)
    return [monday - WEEK * (weeks - 1 - number) for number in range(weeks)]


def _week_of(starts: list[datetime], first: int = 0) -> Case | Value:
    """Return in which week a picture was uploaded, found by halves: five comparisons, not 26."""
    if len(starts) == 1:
        return Value(first)
    half = len(starts) // 2
    return Case(
        When(created_at__gte=starts[half], then=_week_of(starts[half:], first + half)),
        default=_week_of(starts[:half], first),
        output_field=IntegerField(),
    )


def _truth(condition: Q) -> Case:
    return Case(
        When(condition, then=Value(True)), default=Value(False), output_field=BooleanField()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tally:
    """Audited pictures of one week, version and reviewed label."""

    week: int
    version_id: int
    label: str
    share: Share


def _tallies(
    recognizer: Recognizer, starts: list[datetime], version: ModelVersion | None
) -> list[_Tally]:
    """Count in the database: rows come back by week, version and label, not by picture."""
    audited = Prediction.objects.filter(
        recognizer=recognizer,
        is_audit=True,
        created_at__gte=starts[0],
        state__in=SETTLED_STATES,
    )
    if version is not None:
        audited = audited.filter(model_version=version)
    rows = (
        audited.order_by()
        .annotate(
            week=_week_of(starts),
            right=_truth(_RIGHT),
        )
        .values_list("week", "model_version_id", "reviewed_label", "right")
        .annotate(n=Count("*"))
    )
    counts: dict[tuple[int, int, str], list[int]] = defaultdict(lambda: [0, 0])
    for week, version_id, label, right, n in rows:
        count = counts[week, version_id, label]
        count[0] += n if right else 0
        count[1] += n
    return [
        _Tally(week=week, version_id=version_id, label=label, share=Share(*count))
        for (week, version_id, label), count in counts.items()
    ]


_Groups = Mapping[Any, list[_Tally]]


def _grouped(tallies: Iterable[_Tally], weeks: int) -> tuple[_Groups, _Groups, _Groups]:
    """Return the tallies by week, by class and by version."""
    by_week: dict[int, list[_Tally]] = {week: [] for week in range(weeks)}
    by_class: dict[str, list[_Tally]] = defaultdict(list)
    by_version: dict[int, list[_Tally]] = defaultdict(list)
    for tally in tallies:
        by_week[tally.week].append(tally)
        by_class[tally.label].append(tally)
        by_version[tally.version_id].append(tally)
    return by_week, by_class, by_version


def _of_class(label: str, tallies: list[_Tally], weeks: int) -> ClassAccuracy:
    return ClassAccuracy(
        label=label,
        share=pooled(tally.share for tally in tallies),
        change=change(_by_week(tallies, weeks)),
    )


def _of_version(version: ModelVersion, tallies: list[_Tally], weeks: int) -> VersionAccuracy:
    known = [tally for tally in tallies if tally.label != NONE_OF_THESE]
    recent = change(_by_week(known, weeks)).recent
    return VersionAccuracy(
        version=version,
        share=pooled(tally.share for tally in tallies),
        known=pooled(tally.share for tally in known),
        is_below_test=is_below_test(version, recent),
    )


def _by_week(tallies: Iterable[_Tally], weeks: int) -> list[Share]:
    by_week: dict[int, list[Share]] = defaultdict(list)
    for tally in tallies:
        by_week[tally.week].append(tally.share)
    return [pooled(by_week[week]) for week in range(weeks)]


def _worst(one: ClassAccuracy) -> tuple[float, str]:
    return one.share.accuracy or 0.0, one.label
