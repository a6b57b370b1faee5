"""What one review card shows: the picture, what to say of it by key, and what was said before."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.db.models import QuerySet
from django.utils import timezone

from recognition.labels import pickable_labels
from recognition.models import Prediction, Recognizer, Review
from recognition.queues import COUNTED, Queue, waiting
from recognition.reviewing import NONE_OF_THESE, last_words
from recognition.templatetags.presentation import capped

KEYED_LABELS: Final = 9  # keys 1 to 9
TINY_PX: Final = 128  # below, pictures are shown larger, pixel by pixel


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One button that names a class."""

    key: str  # "1" to "9"
    label: str
    probability: float | None  # None where the version does not know the class
    is_accepted: bool  # Enter presses it
    is_suggested: bool  # the uploader said so


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What one reviewer says now."""

    reviewer: str
    label: str  # empty: none of the classes


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """Everything the page of one card shows of it."""

    prediction: Prediction
    choices: Sequence[Choice]
    labels: Sequence[str]  # every one that may be picked
    accepted: str | None  # what Enter says; None where it says nothing
    accepts_none: bool  # Enter says: none of the classes
    accepted_apart: bool  # what Enter says is no choice with a key
    reviews: "QuerySet[Review]"
    opinions: Sequence[Opinion]  # where reviewers disagree
    is_tiny: bool


def make_card(prediction: Prediction, recognizer: Recognizer) -> Card:
    """Return the card of a prediction, whose model version was fetched along."""
    accepted = _accepted(prediction)
    opinions = _opinions(prediction)
    choices = _choices(prediction, accepted, opinions)
    keyed = {choice.label for choice in choices}
    return Card(
        prediction=prediction,
        choices=choices,
        labels=pickable_labels(recognizer),
        accepted=accepted,
        accepts_none=accepted == NONE_OF_THESE,
        accepted_apart=bool(accepted) and accepted not in keyed,
        reviews=prediction.reviews.select_related("reviewer"),
        opinions=opinions,
        is_tiny=max(prediction.width_px, prediction.height_px) < TINY_PX,
    )


def _choices(
    prediction: Prediction, accepted: str | None, opinions: Sequence[Opinion]
) -> list[Choice]:
    """Return the classes that have keys: those reviewers named in a dispute, then the likeliest."""
    suggested = prediction.suggested_label if _has_suggestion(prediction) else None
    probabilities = dict(prediction.top_classes(len(prediction.probabilities)))
    named = [opinion.label for opinion in opinions if opinion.label != NONE_OF_THESE]
    labels = list(dict.fromkeys([*named, *probabilities]))[:KEYED_LABELS]
    return [
        Choice(
            key=str(number),
            label=label,
            probability=probabilities.get(label),
            is_accepted=label == accepted,
            is_suggested=label == suggested,
        )
        for number, label in enumerate(labels, start=1)
    ]


def progress(queue: Queue, recognizer: Recognizer, reviewer: AbstractBaseUser) -> tuple[str, str]:
    """Return how many the reviewer has reviewed today and how many wait, as people read them."""
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    latest = Review.objects.filter(reviewer_id=reviewer.pk).order_by("-id")
    today = Review.objects.filter(
        pk__in=latest.values("pk")[: 2 * COUNTED], created_at__gte=midnight
    )
    kinds = list(today.order_by().values_list("is_retraction", flat=True))
    done = max(0, len(kinds) - 2 * sum(kinds))
    return capped(done), capped(waiting(queue, recognizer, reviewer))


def _has_suggestion(prediction: Prediction) -> bool:
    return prediction.suggested_at is not None


def _accepted(prediction: Prediction) -> str | None:
    """Return what Enter says: what the uploader said, or else what the site answered.

    Where reviewers disagree it says nothing: that takes a look, not a habit.
    """
    if prediction.state == Prediction.State.DISPUTED:
        return None
    if _has_suggestion(prediction):
        return prediction.suggested_label
    if prediction.answer == Prediction.Answer.NONE:
        return NONE_OF_THESE
    return prediction.label


def _opinions(prediction: Prediction) -> list[Opinion]:
    if prediction.state != Prediction.State.DISPUTED:
        return []
    words = last_words([prediction.pk]).get(prediction.pk, {})
    names = {
        review.reviewer_id: review.reviewer.get_username()
        for review in prediction.reviews.select_related("reviewer")
    }
    return [Opinion(reviewer=names[pk], label=label) for pk, label in words.items()]
