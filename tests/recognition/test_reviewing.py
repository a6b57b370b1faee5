from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from recognition.models import ModelVersion, Prediction, Review, ReviewLease
from recognition.reviewing import (
    NONE_OF_THESE,
    outcome,
    retract_review,
    review_predictions,
    suggest_label,
)
from tests.recognition.predictions import make_prediction

PREDICTED, SUGGESTED, REVIEWED, AGREED, DISPUTED = Prediction.State


@pytest.fixture
def prediction(add_version: Callable[..., ModelVersion]) -> Prediction:
    return make_prediction(add_version())


@pytest.fixture
def people(db: None) -> list[User]:
    return [User.objects.create_user(name) for name in ("rosa", "otto", "ines", "paul")]


def say(prediction: Prediction, reviewer: User, label: str) -> tuple[str, str]:
    review_predictions([prediction], label, reviewer)
    prediction.refresh_from_db()
    return prediction.state, prediction.reviewed_label


# What reviews amount to


@pytest.mark.parametrize(
    ("words", "is_suggested", "expected"),
    [
        ({}, False, (PREDICTED, "")),
        ({}, True, (SUGGESTED, "")),
        ({1: "red"}, True, (REVIEWED, "red")),
        ({1: ""}, False, (REVIEWED, "")),
        ({1: "red", 2: "red"}, False, (AGREED, "red")),
        ({1: "", 2: ""}, False, (AGREED, "")),
        ({1: "red", 2: "blue"}, False, (DISPUTED, "")),
        ({1: "red", 2: ""}, False, (DISPUTED, "")),
        ({1: "red", 2: "blue", 3: "red"}, False, (AGREED, "red")),
        ({1: "red", 2: "blue", 3: "green"}, False, (DISPUTED, "")),
        ({1: "red", 2: "blue", 3: "red", 4: "blue"}, False, (DISPUTED, "")),
    ],
)
def test_what_the_last_words_amount_to(
    words: dict[int, str], is_suggested: bool, expected: tuple[str, str]
) -> None:
    assert outcome(words, is_suggested=is_suggested) == expected


WORDS = st.dictionaries(st.integers(1, 6), st.sampled_from(["", "red", "blue", "green"]))


@given(words=WORDS, is_suggested=st.booleans(), order=st.randoms())
def test_it_does_not_matter_who_spoke_first(
    words: dict[int, str], is_suggested: bool, order: st.DataObject
) -> None:
    people = list(words)
    order.shuffle(people)
    shuffled = {person: words[person] for person in people}
    assert outcome(shuffled, is_suggested=is_suggested) == outcome(words, is_suggested=is_suggested)


@given(words=WORDS, is_suggested=st.booleans())
def test_only_a_settled_state_carries_what_most_people_said(
    words: dict[int, str], is_suggested: bool
) -> None:
    state, label = outcome(words, is_suggested=is_suggested)
    said = list(words.values())
    if state in {REVIEWED, AGREED}:
        others = set(said) - {label}
        assert all(said.count(label) > said.count(other) for other in others)
        assert (state == REVIEWED) == (len(said) == 1)
    else:
        assert label == ""
        assert (state == DISPUTED) == bool(words)


# The way of a prediction through its states


def test_a_second_reviewer_makes_it_certain(prediction: Prediction, people: list[User]) -> None:
    rosa, otto, *_others = people
    assert say(prediction, rosa, "blue") == (REVIEWED, "blue")
    assert say(prediction, otto, "blue") == (AGREED, "blue")


def test_the_same_reviewer_twice_is_one_reviewer(
    prediction: Prediction, people: list[User]
) -> None:
    say(prediction, people[0], "blue")
    assert say(prediction, people[0], "blue") == (REVIEWED, "blue")
    assert say(prediction, people[0], "red") == (REVIEWED, "red")
    assert Review.objects.count() == 3


def test_a_dispute_ends_with_a_further_word(prediction: Prediction, people: list[User]) -> None:
    rosa, otto, ines, _paul = people
    say(prediction, rosa, "blue")
    assert say(prediction, otto, "red") == (DISPUTED, "")
    assert prediction.is_right is None
    assert prediction not in Prediction.objects.reviewed()
    assert say(prediction, ines, "red") == (AGREED, "red")


def test_a_dispute_ends_where_one_gives_way(prediction: Prediction, people: list[User]) -> None:
    say(prediction, people[0], "blue")
    say(prediction, people[1], "red")
    assert say(prediction, people[0], "red") == (AGREED, "red")


def test_none_of_the_classes_settles_and_trains_nothing(
    prediction: Prediction, people: list[User]
) -> None:
    assert say(prediction, people[0], NONE_OF_THESE) == (REVIEWED, "")
    assert prediction.is_right is False
    assert prediction in Prediction.objects.settled()
    assert prediction not in Prediction.objects.reviewed()


def test_who_takes_a_word_back_leaves_what_stood_before(
    prediction: Prediction, people: list[User]
) -> None:
    suggest_label(prediction, "green")
    say(prediction, people[0], "blue")
    say(prediction, people[1], "red")

    assert retract_review(prediction, people[1])
    assert (prediction.state, prediction.reviewed_label) == (REVIEWED, "blue")
    assert retract_review(prediction, people[0])
    assert (prediction.state, prediction.reviewed_label) == (SUGGESTED, "")
    assert not retract_review(prediction, people[0])
    assert not retract_review(prediction, people[2])
    assert Review.objects.count() == 4


def test_after_taking_back_the_reviewer_speaks_anew(
    prediction: Prediction, people: list[User]
) -> None:
    say(prediction, people[0], "blue")
    retract_review(prediction, people[0])
    assert say(prediction, people[0], "green") == (REVIEWED, "green")


def test_an_uploader_says_none_of_the_classes(prediction: Prediction) -> None:
    suggest_label(prediction, NONE_OF_THESE)
    prediction.refresh_from_db()
    assert (prediction.state, prediction.suggested_label) == (SUGGESTED, "")
    assert prediction.suggested_at is not None


def test_a_suggestion_of_an_unknown_label_is_refused(prediction: Prediction) -> None:
    with pytest.raises(ValidationError, match="not a label of this recognizer"):
        suggest_label(prediction, "mauve")
    prediction.refresh_from_db()
    assert prediction.state == PREDICTED


def test_a_review_puts_the_card_back(prediction: Prediction, people: list[User]) -> None:
    from django.utils import timezone

    ReviewLease.objects.create(prediction=prediction, reviewer=people[0], expires_at=timezone.now())
    say(prediction, people[1], "blue")
    assert not ReviewLease.objects.exists()
