"""The cards a reviewer holds: dealt from a queue, leased so that nobody else has them, put back.

A lease ends by itself two minutes after its last renewal, so that a reviewer who walks away
keeps nothing from the others. The database lets one lease per picture be: of two reviewers
who reach for it at once, one gets it and the other is dealt the next.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from recognition.models import Prediction, Recognizer, Review, ReviewLease, ReviewSkip
from recognition.queues import Predictions, Queue, candidates
from recognition.reviewing import retract_review, review_predictions

HAND_CARDS: Final = 2  # the one before the reviewer, and the next, whose picture loads meanwhile
SPARE_CANDIDATES: Final = 6  # for those that another reviewer takes at the same moment
LEASE: Final = timedelta(minutes=2)
PAGE_LEASE: Final = timedelta(minutes=10)  # of a page of many, which nobody renews
STEP: Final = timedelta(milliseconds=1)  # later ends keep the cards of a hand in order
HELD_CARDS: Final = 8  # in all queues where one person reviews at once
REMEMBERED_ACTS: Final = 100  # so many steps can be undone


def deal(
    queue: Queue,
    recognizer: Recognizer,
    reviewer: AbstractBaseUser,
    *,
    first: uuid.UUID | None = None,
) -> list[Prediction]:
    """Return the reviewer's hand, leased anew: at most `HAND_CARDS` cards, the present one first.

    The cards they hold already come before new ones. `first` is a card to begin with, whether or
    not it is in the queue; where another reviewer holds it, it is left out.
    """
    waiting = queue.rows(recognizer, reviewer)
    hand: list[uuid.UUID] = []
    if first is not None and Prediction.objects.filter(pk=first, recognizer=recognizer).exists():
        hand = [first] if hold(first, reviewer) else []
    for held in _held(reviewer):
        if held in hand or not _waits(held, waiting):
            continue
        if len(hand) == HAND_CARDS:
            release([held], reviewer)  # one that was undone has taken its place
        elif hold(held, reviewer, place=len(hand)):
            hand.append(held)
    if len(hand) < HAND_CARDS:
        wanted = HAND_CARDS - len(hand) + SPARE_CANDIDATES
        for candidate in candidates(queue, recognizer, reviewer, wanted):
            if len(hand) == HAND_CARDS:
                break
            if not hold(candidate, reviewer, place=len(hand)):
                continue
            # Another reviewer may have settled it between the look and the lease.
            if _waits(candidate, waiting):
                hand.append(candidate)
            else:
                release([candidate], reviewer)
    rows = Prediction.objects.select_related("model_version").in_bulk(hand)
    return [rows[pk] for pk in hand if pk in rows]


def hold(prediction_id: uuid.UUID, reviewer: AbstractBaseUser, *, place: int = 0) -> bool:
    """Lease a card, or renew the reviewer's lease of it; return False where another has it."""
    now = timezone.now()
    expires_at = now + LEASE + place * STEP
    mine_or_ended = Q(reviewer_id=reviewer.pk) | Q(expires_at__lte=now)
    lease = ReviewLease.objects.filter(prediction=prediction_id)
    if lease.filter(mine_or_ended).update(reviewer_id=reviewer.pk, expires_at=expires_at):
        return True
    return prediction_id in _insert([prediction_id], reviewer, expires_at)


def renew(prediction_ids: Sequence[uuid.UUID], reviewer: AbstractBaseUser) -> None:
    """Keep cards of the hand, in this order, for as long again; take none that is not held."""
    ends = timezone.now() + LEASE
    for place, prediction_id in enumerate(prediction_ids[:HAND_CARDS]):
        ReviewLease.objects.filter(prediction=prediction_id, reviewer_id=reviewer.pk).update(
            expires_at=ends + place * STEP
        )


def hold_page(prediction_ids: Iterable[uuid.UUID], reviewer: AbstractBaseUser) -> set[uuid.UUID]:
    """Lease a page of cards for longer; return the ids of those that are the reviewer's now.

    A page that they held before is put back.
    """
    ids, now = list(prediction_ids), timezone.now()
    mine_or_ended = Q(reviewer_id=reviewer.pk) | Q(expires_at__lte=now)
    with transaction.atomic():
        _leases_of_pages(reviewer).exclude(prediction__in=ids).delete()
        ReviewLease.objects.filter(mine_or_ended, prediction__in=ids).update(
            reviewer_id=reviewer.pk, expires_at=now + PAGE_LEASE
        )
        return _insert(ids, reviewer, now + PAGE_LEASE)


def release(prediction_ids: Iterable[uuid.UUID], reviewer: AbstractBaseUser) -> None:
    """Put cards back that the reviewer holds."""
    ReviewLease.objects.filter(
        reviewer_id=reviewer.pk, prediction__in=list(prediction_ids)
    ).delete()


def decide(
    prediction_id: uuid.UUID,
    label: str,
    queue: Queue,
    recognizer: Recognizer,
    reviewer: AbstractBaseUser,
) -> bool:
    """Write the reviewer's word on a card; return False, and write nothing, where it is too late.

    Too late: their lease ended and another reviewer has the card, or has settled it.

    Raises:
        ValidationError: `label` cannot be a label.
    """
    with transaction.atomic():
        if not _is_theirs(prediction_id, queue, recognizer, reviewer):
            return False
        review_predictions(Prediction.objects.filter(pk=prediction_id), label, reviewer)
    return True


def decide_page(
    prediction_ids: Iterable[uuid.UUID],
    label: str | None,
    recognizer: Recognizer,
    reviewer: AbstractBaseUser,
) -> int:
    """Write one word on many open cards, or confirm each where None; return how many were written.

    Those that another reviewer has before them, or has settled, are left alone.

    Raises:
        ValidationError: `label` cannot be a label.
    """
    with transaction.atomic():
        of_others = ReviewLease.objects.filter(
            prediction=OuterRef("pk"), expires_at__gt=timezone.now()
        ).exclude(reviewer_id=reviewer.pk)
        # By id alone: given more conditions SQLite would rather walk the queue. And listed before
        # the reviews close the very rows that they would be asked for again.
        rows = Prediction.objects.filter(~Exists(of_others), pk__in=list(prediction_ids))
        mine = [
            row
            for row in rows.only("recognizer", "is_open")
            if row.is_open and row.recognizer_id == recognizer.pk
        ]
        return review_predictions(mine, label, reviewer)


def skip(prediction_id: uuid.UUID, reviewer: AbstractBaseUser) -> None:
    """Leave a card to others: the reviewer's queues do not show it again."""
    with transaction.atomic():
        if Prediction.objects.filter(pk=prediction_id).exists():
            ReviewSkip.objects.get_or_create(prediction_id=prediction_id, reviewer_id=reviewer.pk)
        release([prediction_id], reviewer)


def undo(recognizer: Recognizer, reviewer: AbstractBaseUser) -> uuid.UUID | None:
    """Take back what the reviewer did last in this recognizer; return the id of that card.

    A review is retracted, a skip forgotten. None where nothing is left to take back.
    """
    with transaction.atomic():
        skipped = _last_skip(recognizer, reviewer)
        review = _last_standing_review(recognizer, reviewer)
        if skipped and (review is None or skipped.created_at > review.created_at):
            skipped.delete()
            return skipped.prediction_id
        if review is None:
            return None
        retract_review(review.prediction, reviewer)
        return review.prediction_id


def _is_theirs(
    prediction_id: uuid.UUID, queue: Queue, recognizer: Recognizer, reviewer: AbstractBaseUser
) -> bool:
    """Return whether the reviewer holds the card, or nobody does and it still waits."""
    leases = ReviewLease.objects.select_for_update().filter(prediction=prediction_id)
    lease = leases.filter(expires_at__gt=timezone.now()).first()
    if lease is not None:
        return bool(lease.reviewer_id == reviewer.pk)
    return _waits(prediction_id, queue.rows(recognizer, reviewer))


def _held(reviewer: AbstractBaseUser) -> list[uuid.UUID]:
    """Return the ids of the cards in the reviewer's hands, in order; no page of many among them."""
    leases = ReviewLease.objects.filter(
        reviewer_id=reviewer.pk,
        expires_at__gt=timezone.now(),
        expires_at__lte=_last_end_of_a_hand(),
    )
    return list(leases.order_by("expires_at").values_list("prediction", flat=True)[:HELD_CARDS])


def _leases_of_pages(reviewer: AbstractBaseUser) -> "QuerySet[ReviewLease]":
    return ReviewLease.objects.filter(reviewer_id=reviewer.pk, expires_at__gt=_last_end_of_a_hand())


def _last_end_of_a_hand() -> datetime:
    """Return when a hand leased now ends at the latest; pages of many are leased for longer."""
    return timezone.now() + LEASE + HAND_CARDS * STEP


def _waits(prediction_id: uuid.UUID, waiting: Predictions) -> bool:
    """Return whether a card is in the queue.

    Asked one by one: for a list of ids SQLite would rather walk the whole queue than look them up.
    """
    return waiting.filter(pk=prediction_id).exists()


def _insert(
    ids: Sequence[uuid.UUID], reviewer: AbstractBaseUser, expires_at: datetime
) -> set[uuid.UUID]:
    """Lease those of the cards that have no lease; return those that are the reviewer's now."""
    ReviewLease.objects.bulk_create(
        [
            ReviewLease(prediction_id=pk, reviewer_id=reviewer.pk, expires_at=expires_at)
            for pk in ids
        ],
        ignore_conflicts=True,
    )
    mine = ReviewLease.objects.filter(
        reviewer_id=reviewer.pk, prediction__in=ids, expires_at=expires_at
    )
    return set(mine.values_list("prediction", flat=True))


def _last_skip(recognizer: Recognizer, reviewer: AbstractBaseUser) -> ReviewSkip | None:
    skips = ReviewSkip.objects.filter(reviewer_id=reviewer.pk).order_by("-id")
    of = skips.values_list("pk", "prediction__recognizer")[:REMEMBERED_ACTS]
    own = [pk for pk, recognizer_id in of if recognizer_id == recognizer.pk]
    return ReviewSkip.objects.get(pk=own[0]) if own else None


def _last_standing_review(recognizer: Recognizer, reviewer: AbstractBaseUser) -> Review | None:
    """Return the reviewer's latest review whose word they have not taken back since."""
    latest = Review.objects.filter(reviewer_id=reviewer.pk).order_by("-id")
    acts = latest.values_list("pk", "prediction", "prediction__recognizer", "is_retraction")
    seen: set[uuid.UUID] = set()
    for pk, prediction_id, of, is_retraction in acts[:REMEMBERED_ACTS]:
        if of != recognizer.pk or prediction_id in seen:
            continue
        if not is_retraction:
            return Review.objects.select_related("prediction").get(pk=pk)
        seen.add(prediction_id)
    return None
