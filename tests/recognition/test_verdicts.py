"""What reviewers made of an upload, as its uploader is told: on the page, in lists, by the API."""

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from recognition import services
from recognition.models import Prediction, Recognizer
from recognition.verdicts import verdict_of
from tests.recognition.pictures import make_picture


def text_of(response: Any) -> str:
    return unescape(response.content.decode())


@pytest.fixture
def uploaded(client: Client, served: Recognizer) -> Prediction:
    """Return a prediction of red that `client` itself uploaded."""
    client.post("/colors/", {"image": SimpleUploadedFile("x.jpg", make_picture())})
    return Prediction.objects.get()


@pytest.fixture
def say(uploaded: Prediction) -> Callable[..., None]:
    """Return a function with which one reviewer after another reviews the upload."""

    def say(*labels: str) -> None:
        for number, label in enumerate(labels):
            reviewer, _created = User.objects.get_or_create(username=f"reviewer{number}")
            services.review_predictions([uploaded], label, reviewer)

    return say


CASES = [
    (["red"], "confirmed", "red", "A reviewer confirmed it: this is red.", "Reviewed"),
    (["blue"], "corrected", "blue", "A reviewer corrected it: this is blue.", "Reviewed"),
    ([""], "none", "", "A reviewer looked at it: it shows none of the classes.", "Reviewed"),
    (["red", "red"], "confirmed", "red", "2 reviewers confirmed it", "Reviewers agree"),
    (["blue"] * 3, "corrected", "blue", "3 reviewers corrected it", "Reviewers agree"),
    (["", ""], "none", "", "2 reviewers agree: it shows none", "Reviewers agree"),
    (["blue", "red", "blue"], "corrected", "blue", "2 reviewers corrected it", "Reviewers agree"),
    (["blue", ""], "disputed", "", "it will be looked at again", "Reviewers disagree"),
]


@pytest.mark.parametrize(("labels", "kind", "label", "text", "state"), CASES)
def test_the_uploader_is_told_in_words(
    client: Client,
    uploaded: Prediction,
    say: Callable[..., None],
    labels: list[str],
    kind: str,
    label: str,
    text: str,
    state: str,
) -> None:
    say(*labels)
    page = text_of(client.get(uploaded.get_absolute_url()))
    assert text in page
    assert f">{state}</span>" in page
    assert "That is right" not in page
    assert "reviewer0" not in page, "reviewers stay unnamed"
    assert f">{state}</span>" in text_of(client.get("/history/"))

    verdict = client.get(f"/api/v1/predictions/{uploaded.pk}").json()["verdict"]
    assert (verdict["kind"], verdict["label"]) == (kind, label or None)
    assert text in verdict["text"]
    assert sum(opinion["reviewers"] for opinion in verdict["opinions"]) == len(labels)


def test_a_dispute_says_how_many_stand_by_what(
    client: Client, uploaded: Prediction, say: Callable[..., None]
) -> None:
    say("blue", "")
    page = text_of(client.get(uploaded.get_absolute_url()))
    assert "1 reviewer says: blue" in page
    assert "1 reviewer says: none of the classes" in page


def test_history_says_none_of_the_classes(
    client: Client, uploaded: Prediction, say: Callable[..., None]
) -> None:
    say("")
    assert '<p class="pictures__label">none of the classes</p>' in text_of(client.get("/history/"))


def test_the_uploader_sees_their_own_word_beside_the_verdict(
    client: Client, uploaded: Prediction, say: Callable[..., None]
) -> None:
    services.suggest_label(uploaded, "green")
    say("blue")
    assert "You had said: green." in text_of(client.get(uploaded.get_absolute_url()))
    assert "You had said" not in text_of(Client().get(uploaded.get_absolute_url()))


def test_only_what_trains_is_said_to_train(
    client: Client, uploaded: Prediction, say: Callable[..., None]
) -> None:
    say("")
    assert "The next training learns" not in text_of(client.get(uploaded.get_absolute_url()))
    say("blue")
    assert "The next training learns" in text_of(client.get(uploaded.get_absolute_url()))


def test_before_a_review_there_is_no_verdict_and_no_query(
    uploaded: Prediction, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        assert verdict_of(uploaded) is None
