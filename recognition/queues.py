"""What waits for a reviewer, in which order: one queue for each reason to look.

Every queue is read from the front of a partial index; none is ever counted or sorted as a whole.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ml.diversity import Point, pick
from recognition.models import Prediction, Recognizer, Review, ReviewLease, ReviewSkip
from recognition.reviewing import last_words

COUNTED: Final = 1000  # beyond, a queue is "1,000+" long: nobody counts a million rows for a badge
POOL_CARDS: Final = 256  # the least sure, of which the unlike come first
SEEN_CARDS: Final = 32  # the latest reviewed, which the next ones should not repeat
HELD_CARDS: Final = 64  # those before reviewers now, at most
LATEST_REVIEWS: Final = 500  # as far as "lately" reaches back

Predictions = QuerySet[Prediction]


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One reason to look at pictures."""

    key: str  # in addresses
    title: Promise
    purpose: Promise
    rows: Callable[[Recognizer, AbstractBaseUser], Predictions]  # what waits, the next one first
    is_diverse: bool = False  # whether pictures like the latest reviewed wait longer


def _uncertain(recognizer: Recognizer, reviewer: AbstractBaseUser) -> Predictions:
    return Prediction.objects.filter(recognizer=recognizer, is_open=True).order_by("margin")


def _none(recognizer: Recognizer, reviewer: AbstractBaseUser) -> Predictions:
    rows = Prediction.objects.filter(
        recognizer=recognizer, is_open=True, answer=Prediction.Answer.NONE
    )
    return rows.order_by("-created_at")


def _suggested(recognizer: Recognizer, reviewer: AbstractBaseUser) -> Predictions:
    rows = Prediction.objects.filter(recognizer=recognizer, state=Prediction.State.SUGGESTED)
    return rows.order_by("-suggested_at")


def _disputed(recognizer: Recognizer, reviewer: AbstractBaseUser) -> Predictions:
    """Those on which another reviewer spoke last: whoever did waits for the others' word."""
    # Not asked by reviewer: an index of all their reviews, thousands, would answer that.
    reviews = Review.objects.filter(prediction=OuterRef("pk")).order_by("-id")
    return (
        Prediction.objects.filter(recognizer=recognizer, state=Prediction.State.DISPUTED)
        .alias(spoke_last=Subquery(reviews.values("reviewer")[:1]))
        .filter(~Q(spoke_last=reviewer.pk) | Q(spoke_last=None))
        .order_by("-created_at")
    )


def _second(recognizer: Recognizer, reviewer: AbstractBaseUser) -> Predictions:
    """Those that one other person reviewed lately."""
    latest = list(
        Review.objects.order_by("-id").values_list("prediction", flat=True)[:LATEST_REVIEWS]
    )
    states = Prediction.objects.filter(pk__in=latest).values_list("pk", "recognizer", "state")
    of_one = [
        pk
        for pk, recognizer_id, state in states
        if recognizer_id == recognizer.pk and state == Prediction.State.REVIEWED
    ]
    words = last_words(of_one)
    of_others = [pk for pk in of_one if reviewer.pk not in words.get(pk, {})]
    return Prediction.objects.filter(pk__in=of_others).order_by("-created_at")


def _audit(recognizer: Recognizer, reviewer: AbstractBaseUser) -> Predictions:
    rows = Prediction.objects.filter(recognizer=recognizer, is_open=True, is_audit=True)
    return rows.order_by("-created_at")


def _shadow(recognizer: Recognizer, reviewer: AbstractBaseUser) -> Predictions:
    challenger = recognizer.challenger()
    if challenger is None:
        return Prediction.objects.none()
    # Both conditions in one filter(): they speak of the same later prediction.
    rows = Prediction.objects.filter(
        repredictions__model_version=challenger, repredictions__agrees=False, is_open=True
    )
    return rows.order_by("-repredictions__created_at")


def _newest(recognizer: Recognizer, reviewer: AbstractBaseUser) -> Predictions:
    return Prediction.objects.filter(recognizer=recognizer, is_open=True).order_by("-created_at")


QUEUES: Final[dict[str, Queue]] = {
    queue.key: queue
    for queue in (
        Queue(
            key="uncertain",
            title=_("Least sure"),
            purpose=_("The network wavers, and has seen little like them: these teach it most."),
            rows=_uncertain,
            is_diverse=True,
        ),
        Queue(
            key="suggested",
            title=_("Uploaders who answered"),
            purpose=_("Whoever uploaded the picture said what it shows."),
            rows=_suggested,
        ),
        Queue(
            key="disputed",
            title=_("Reviewers disagree"),
            purpose=_("As many say one thing as another: a further word decides."),
            rows=_disputed,
        ),
        Queue(
            key="none",
            title=_("None of the classes"),
            purpose=_("The site answered that they show none of the classes it knows."),
            rows=_none,
        ),
        Queue(
            key="audit",
            title=_("Random sample"),
            purpose=_("Drawn at random: accuracy in the field is computed from these."),
            rows=_audit,
        ),
        Queue(
            key="shadow",
            title=_("Challenger disagrees"),
            purpose=_("The version tried out in the shadow names another label."),
            rows=_shadow,
        ),
        Queue(
            key="second",
            title=_("Second opinion"),
            purpose=_("One other person reviewed them lately; a second one makes it certain."),
            rows=_second,
        ),
        Queue(
            key="newest",
            title=_("Newest"),
            purpose=_("Everything that waits, the latest upload first."),
            rows=_newest,
        ),
    )
}


def waiting(
    queue: Queue, recognizer: Recognizer, reviewer: AbstractBaseUser, *, most: int = COUNTED
) -> int:
    """Return how many cards wait, counted to `most` + 1 at most."""
    return queue.rows(recognizer, reviewer).order_by()[: most + 1].count()


def candidates(
    queue: Queue, recognizer: Recognizer, reviewer: AbstractBaseUser, count: int
) -> list[uuid.UUID]:
    """Return the ids of the next cards that nobody holds and the reviewer has not skipped."""
    skips = ReviewSkip.objects.filter(reviewer_id=reviewer.pk, prediction=OuterRef("pk"))
    leases = ReviewLease.objects.filter(prediction=OuterRef("pk"), expires_at__gt=timezone.now())
    free = queue.rows(recognizer, reviewer).filter(~Exists(skips), ~Exists(leases))
    if not queue.is_diverse:
        return list(free.values_list("pk", flat=True)[:count])
    pool = list(free.values_list("pk", "margin", "model_version", "embedding__sketch")[:POOL_CARDS])
    points = [_point(*row[1:]) for row in pool]
    return [pool[index][0] for index in pick(points, _seen(recognizer), count)]


def _seen(recognizer: Recognizer) -> list[Point]:
    """Return what people have looked at lately, or look at now, in this recognizer.

    Which recognizer a picture is of is asked last: asked first, it would mean a walk over all.
    """
    latest = Review.objects.order_by("-id").values_list("prediction", "prediction__recognizer")
    reviewed = [pk for pk, of in latest[:LATEST_REVIEWS] if of == recognizer.pk]
    leases = ReviewLease.objects.filter(expires_at__gt=timezone.now()).order_by("-expires_at")
    held = leases.values_list("prediction", flat=True)[:HELD_CARDS]
    rows = Prediction.objects.filter(pk__in={*reviewed[:SEEN_CARDS], *held}).values_list(
        "recognizer", "margin", "model_version", "embedding__sketch"
    )
    return [_point(*row[1:]) for row in rows if row[0] == recognizer.pk]


def _point(margin: float, space: int, sketch: bytes | memoryview | None) -> Point:
    return Point(margin=margin, space=space, sketch=None if sketch is None else bytes(sketch))
