from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from recognition.models import ModelVersion, Prediction
from tests.recognition.predictions import make_prediction

PREDICTED, SUGGESTED, REVIEWED, AGREED, DISPUTED = Prediction.State
CARD = {"headers": {"X-Lacewing-Card": "1"}}


def card_url(queue: str = "newest", **more: str) -> str:
    query = "".join(f"&{key}={value}" for key, value in more.items())
    return (
        f"{reverse('admin:recognition_prediction_review')}?recognizer=colors&queue={queue}{query}"
    )


@pytest.fixture
def version(add_version: Callable[..., ModelVersion]) -> ModelVersion:
    return add_version()


@pytest.fixture
def reviewer(db: None) -> User:
    user = User.objects.create_user("rosa", password="secret", is_staff=True)
    user.groups.add(Group.objects.get(name="reviewers"))
    return user


@pytest.fixture
def rosa(client: Client, reviewer: User) -> Client:
    client.force_login(reviewer)
    return client


def shown(response: Any) -> Prediction | None:
    card = response.context["card"]
    return card and card.prediction


def test_the_card_shows(rosa: Client, version: ModelVersion) -> None:
    for url in (
        card_url(),
        reverse("admin:recognition_prediction_queues"),
        reverse("admin:recognition_prediction_grid") + "?recognizer=colors",
    ):
        p = rosa.get(url)
        assert p.status_code == 200
    make_prediction(version)
    make_prediction(version)
    for url in (
        card_url(),
        reverse("admin:recognition_prediction_queues"),
        reverse("admin:recognition_prediction_grid") + "?recognizer=colors",
    ):
        p = rosa.get(url)
        assert p.status_code == 200
