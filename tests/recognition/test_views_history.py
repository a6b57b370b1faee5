"""The history: what one browser uploaded, and nobody else's."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from recognition import services
from recognition.models import ModelVersion, Prediction, Recognizer, Reprediction
from recognition.views import PICTURES_A_PAGE
from tests.recognition.pictures import make_picture
from tests.recognition.predictions import make_prediction


def text_of(response: Any) -> str:
    return unescape(response.content.decode())


def upload(client: Client) -> Prediction:
    client.post("/colors/", {"image": SimpleUploadedFile("x.jpg", make_picture())})
    return Prediction.objects.latest("created_at")


@pytest.fixture
def many(client: Client, add_version: Callable[..., ModelVersion]) -> list[Prediction]:
    """Return one prediction more than a page holds, all uploaded by `client`, latest first."""
    version = add_version()
    first = upload(client)
    base = datetime(2026, 1, 1, tzinfo=UTC)
    older = [
        make_prediction(
            version, visitor_id=first.visitor_id, created_at=base - timedelta(minutes=minutes)
        )
        for minutes in range(PICTURES_A_PAGE)
    ]
    return [first, *older]


def test_without_uploads_it_is_a_friendly_start(client: Client, db: None) -> None:
    response = client.get("/history/")
    assert response.status_code == 200
    assert "No pictures yet" in text_of(response)
    assert "visitor" not in response.cookies


def test_it_lists_what_this_browser_uploaded_and_nothing_else(
    client: Client, served: Recognizer
) -> None:
    mine = upload(client)
    theirs = upload(Client())
    page = text_of(client.get("/history/"))
    assert mine.get_absolute_url() in page
    assert theirs.get_absolute_url() not in page
    assert "1 picture uploaded with this browser." in page


def test_a_forged_cookie_shows_nothing(client: Client, served: Recognizer) -> None:
    theirs = upload(Client())
    client.cookies["visitor"] = str(theirs.visitor_id)
    assert "No pictures yet" in text_of(client.get("/history/"))


def test_it_shows_what_a_reviewer_said(client: Client, served: Recognizer, admin_user: Any) -> None:
    services.review_predictions([upload(client)], "blue", admin_user)
    page = text_of(client.get("/history/"))
    assert '<p class="pictures__label">blue</p>' in page
    assert "Reviewed" in page


def test_pages_hold_the_latest_first_and_lead_to_the_rest(
    client: Client, many: list[Prediction]
) -> None:
    first, last = text_of(client.get("/history/")), text_of(client.get("/history/?page=2"))
    shown = re.findall(r'<a href="/predictions/([0-9a-f-]+)/">', first)
    assert shown == [str(prediction.pk) for prediction in many[:PICTURES_A_PAGE]]
    assert '?page=2"' in first
    assert re.findall(r'<a href="/predictions/([0-9a-f-]+)/">', last) == [str(many[-1].pk)]
    assert '?page=1"' in last


@pytest.mark.parametrize("page", ["0", "99", "x", ""])
def test_an_odd_page_number_still_shows_a_page(
    client: Client, many: list[Prediction], page: str
) -> None:
    assert client.get("/history/", {"page": page}).status_code == 200


def test_it_asks_the_database_as_often_for_a_page_as_for_one_picture(
    client: Client, many: list[Prediction], django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(5):
        client.get("/history/")


def test_what_a_newer_version_says_stands_beside_the_first_answer(
    client: Client, many: list[Prediction], add_version: Callable[..., ModelVersion],
    django_assert_num_queries: Any,
) -> None:  # fmt: skip
    newer = add_version()
    for prediction, label in zip(many, ("blue", "red"), strict=False):
        for version, is_shadow in ((newer, False), (add_version(activate=False), True)):
            Reprediction.objects.create(
                prediction=prediction, model_version=version, probabilities=[1, 0, 0],
                label=label, probability=1, agrees=label == prediction.label,
                is_shadow=is_shadow,
            )  # fmt: skip

    with django_assert_num_queries(5):
        content = text_of(client.get("/history/"))

    assert content.count("Version 2 now says blue") == 1
    assert content.count("now says") == 1
