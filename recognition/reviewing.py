"""What people say of pictures: suggestions of uploaders, reviews, and what they amount to.

`predicted → suggested → reviewed → agreed`, or `disputed`: reviews are appended, never edited,
and the state of a prediction is computed from them alone.
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from recognition.models import MAX_LABEL_CHARS, Prediction, Review, ReviewLease

NONE_OF_THESE: Final = ""  # as a label: the picture shows none of the recognizer's classes
REVIEW_BATCH_ROWS: Final = 500  # well below the variables that one SQLite statement may have


def suggest_label(prediction: Prediction, label: str) -> None:
    """Keep what the uploader says the right label is; it trains nothing until reviewed.

    Raises:
        ValidationError: `label` is neither `NONE_OF_THESE` nor a label of the prediction's
            model version.
    """
    labels = prediction.model_version.labels
    if label != NONE_OF_THESE and label not in labels:
        raise ValidationError(
            "Received %(label)r, which is not a label of this recognizer. Choose one of: "
            "%(labels)s.",
            code="unknown_label",
            params={"label": label[:MAX_LABEL_CHARS], "labels": ", ".join(labels)},
        )
    with transaction.atomic():
        row = Prediction.objects.select_for_update().get(pk=prediction.pk)
        if row.state == Prediction.State.PREDICTED:
            row.state = Prediction.State.SUGGESTED
        row.suggested_label = label
        row.suggested_at = timezone.now()
        row.save(update_fields=["state", "suggested_label", "suggested_at"])
    prediction.state, prediction.suggested_label = row.state, row.suggested_label
    prediction.suggested_at = row.suggested_at


def review_predictions(
    predictions: Iterable[Prediction], label: str | None, reviewer: AbstractBaseUser
) -> int:
    """Write a review for each prediction and settle its state; return how many.

    `label` may be one that the model version does not know: that is how a new class begins;
    `NONE_OF_THESE` says that the picture shows none. None confirms what each prediction says
    now: its reviewed label, or else the network's.

    Raises:
        ValidationError: `label` is too long or not printable, or blank but not empty.
    """
    if label:
        label = clean_label(label)
    written = 0
    with transaction.atomic():
        for ids in _batches((prediction.pk for prediction in predictions), REVIEW_BATCH_ROWS):
            rows = list(Prediction.objects.select_for_update().filter(pk__in=ids))
            reviews = [
                Review(
                    prediction=row,
                    reviewer_id=reviewer.pk,
                    previous_label=row.current_label,
                    label=row.current_label if label is None else label,
                )
                for row in rows
            ]
            _append(rows, reviews)
            written += len(reviews)
    return written


def retract_review(prediction: Prediction, reviewer: AbstractBaseUser) -> bool:
    """Take the reviewer's own word on a prediction back; return False where there is none."""
    with transaction.atomic():
        row = Prediction.objects.select_for_update().get(pk=prediction.pk)
        last = row.reviews.filter(reviewer_id=reviewer.pk).order_by("-created_at", "-id").first()
        if last is None or last.is_retraction:
            return False
        retraction = Review(
            prediction=row,
            reviewer_id=reviewer.pk,
            previous_label=row.current_label,
            label="",
            is_retraction=True,
        )
        _append([row], [retraction])
    prediction.state, prediction.reviewed_label = row.state, row.reviewed_label
    return True


def outcome(words: Mapping[int, str], *, is_suggested: bool) -> tuple[Prediction.State, str]:
    """Return the state and the reviewed label that the reviewers' last words amount to.

    One reviewer settles a picture; two who say the same agree; of more, those who outnumber
    every other opinion win. Anything else is a dispute.

    Args:
        words: each reviewer's last label, without those who took theirs back.
        is_suggested: whether the uploader has suggested a label.
    """
    if not words:
        return (Prediction.State.SUGGESTED if is_suggested else Prediction.State.PREDICTED), ""
    (label, most), *others = Counter(words.values()).most_common()
    if not others:
        return (Prediction.State.REVIEWED if most == 1 else Prediction.State.AGREED), label
    if most > others[0][1]:
        return Prediction.State.AGREED, label
    return Prediction.State.DISPUTED, ""


def last_words(prediction_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, dict[int, str]]:
    """Return each reviewer's last label for each prediction. One SQL query."""
    words: dict[uuid.UUID, dict[int, str]] = {}
    reviews = Review.objects.filter(prediction__in=list(prediction_ids))
    for review in reviews.order_by("created_at", "id"):
        said = words.setdefault(review.prediction_id, {})
        if review.is_retraction:
            said.pop(review.reviewer_id, None)
        else:
            said[review.reviewer_id] = review.label
    return words


def clean_label(label: str) -> str:
    """Return the label without blanks around it.

    Raises:
        ValidationError: empty, too long or not printable.
    """
    label = label.strip()
    if not label or len(label) > MAX_LABEL_CHARS or not label.isprintable():
        raise ValidationError(
            "A label has 1 to %(limit)d printable characters; received %(length)d characters.",
            code="bad_label",
            params={"limit": MAX_LABEL_CHARS, "length": len(label)},
        )
    return label


def _append(rows: list[Prediction], reviews: list[Review]) -> None:
    """Write the reviews of the locked rows, and what they now amount to."""
    Review.objects.bulk_create(reviews)
    words = last_words(row.pk for row in rows)
    for row in rows:
        row.state, row.reviewed_label = outcome(
            words.get(row.pk, {}), is_suggested=row.suggested_at is not None
        )
    Prediction.objects.bulk_update(rows, ["state", "reviewed_label"])
    ReviewLease.objects.filter(prediction__in=[row.pk for row in rows]).delete()


def _batches(ids: Iterable[uuid.UUID], size: int) -> Iterator[list[uuid.UUID]]:
    iterator = iter(ids)
    while batch := list(islice(iterator, size)):
        yield batch
