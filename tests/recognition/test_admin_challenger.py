"""Pages of the challenger and of old pictures predicted anew, and what uploaders see of it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from recognition import challengers, gating, repredicting, services
from recognition.models import (
    Activation,
    ModelVersion,
    Prediction,
    Recognizer,
    Reprediction,
    RepredictionRun,
)
from tests.networks import COLOR_WEIGHTS
from tests.recognition.predictions import make_prediction
from tests.recognition.test_gating import comparison

AddVersion = Callable[..., ModelVersion]


@pytest.fixture
def champion(add_version: AddVersion) -> ModelVersion:
    return add_version()


@pytest.fixture
def challenger(champion: ModelVersion, add_version: AddVersion) -> ModelVersion:
    """Return a challenger that takes red for green."""
    version = add_version(activate=False, weights=COLOR_WEIGHTS[[0, 2, 1]])
    challengers.set_challenger(version)
    return version


def url_of(page: str, row: ModelVersion | Recognizer) -> str:
    return reverse(f"admin:recognition_modelversion_{page}", args=[row.pk])


def texts(response: Any) -> list[str]:
    return [str(message) for message in response.context["messages"]]


# The challenger


def test_the_page_shows_agreement_audit_and_differences(
    admin_client: Client, admin_user: User, champion: ModelVersion, challenger: ModelVersion
) -> None:
    prediction = make_prediction(champion, is_audit=True)
    challengers.predict_in_shadow(prediction.pk)
    services.review_predictions([prediction], "green", admin_user)

    page = admin_client.get(url_of("challenger", champion.recognizer))

    content = page.content.decode()
    assert (page.context["standing"].n, page.context["standing"].agreed) == (1, 0)
    assert "Right by the challenger alone: 1; by the active version alone: 0" in content
    assert reverse("admin:recognition_prediction_change", args=[prediction.pk]) in content
    assert "reviewed: green" in content


def test_the_page_stands_without_a_challenger_and_without_any_version(
    admin_client: Client, champion: ModelVersion, add_version: AddVersion
) -> None:
    other = add_version(activate=False)
    content = admin_client.get(url_of("challenger", champion.recognizer)).content.decode()
    assert "There is no challenger." in content
    assert url_of("challenge", other) in content
    empty = Recognizer.objects.create(slug="empty", name="Empty")
    assert admin_client.get(url_of("challenger", empty)).status_code == 200


def test_a_challenge_begins_and_ends_by_post(
    admin_client: Client, champion: ModelVersion, add_version: AddVersion, recognizer: Recognizer
) -> None:
    version = add_version(activate=False)
    assert admin_client.get(url_of("challenge", version)).status_code == 405

    begun = admin_client.post(url_of("challenge", version), follow=True)
    assert "sees from now on what people upload" in texts(begun)[0]
    assert recognizer.challenger() == version

    ended = admin_client.post(url_of("unchallenge", version), follow=True)
    assert texts(ended) == ["colors v2 challenges no more."]
    assert recognizer.challenger() is None


def test_what_does_not_work_is_refused_with_the_reason(
    admin_client: Client, champion: ModelVersion, add_version: AddVersion, recognizer: Recognizer
) -> None:
    broken = add_version(activate=False)
    (broken.path / "model.tflite").unlink()
    response = admin_client.post(url_of("challenge", broken), follow=True)
    assert "model.tflite is missing" in texts(response)[0]
    assert recognizer.challenger() is None


def test_a_promotion_is_on_record_with_how_it_did(
    admin_client: Client, admin_user: User, champion: ModelVersion, challenger: ModelVersion
) -> None:
    prediction = make_prediction(champion, is_audit=True)
    challengers.predict_in_shadow(prediction.pk)
    services.review_predictions([prediction], "green", admin_user)

    response = admin_client.post(url_of("promote", challenger), {"note": "Greener."}, follow=True)

    assert "colors v2 is active." in texts(response)[0]
    record = Activation.objects.latest("id")
    assert (record.kind, record.person, record.version) == ("chosen", admin_user, challenger)
    assert record.reason == (
        "Greener. As challenger it agreed on 0 of 1 pictures. Of 1 audited ones it had 1 right, "
        "the active version 0 (p = 1)."
    )
    challenger.refresh_from_db()
    assert (challenger.is_active, challenger.is_challenger) == (True, False)
    assert challenger.gate["words"][0]["person"] == "admin"


def test_a_challenger_that_the_gate_found_worse_takes_a_reason(
    admin_client: Client, champion: ModelVersion, challenger: ModelVersion, recognizer: Recognizer
) -> None:
    gating.decide(challenger, comparison("worse"), incumbent=champion)

    refused = admin_client.post(url_of("promote", challenger), {"note": ""}, follow=True)
    assert "say why it is to serve" in texts(refused)[0]
    assert recognizer.active_version() == champion

    admin_client.post(url_of("promote", challenger), {"note": "Right in the field."})
    assert Activation.objects.latest("id").kind == "forced"


def test_what_is_no_challenger_is_not_promoted(
    admin_client: Client, champion: ModelVersion, add_version: AddVersion
) -> None:
    version = add_version(activate=False)
    response = admin_client.post(url_of("promote", version), follow=True)
    assert texts(response) == ["colors v2 is no challenger."]


@pytest.mark.parametrize(
    "page",
    [
        "challenge", "unchallenge", "promote", "repredict", "repredict_cancel",
        "repredict_resume",
    ],
)  # fmt: skip
def test_reviewers_look_and_decide_nothing(
    client: Client, challenger: ModelVersion, page: str
) -> None:
    user = User.objects.create_user("rosa", is_staff=True)
    user.groups.add(Group.objects.get(name="reviewers"))
    client.force_login(user)

    content = client.get(url_of("challenger", challenger.recognizer)).content.decode()

    assert url_of("promote", challenger) not in content
    assert client.post(url_of(page, challenger)).status_code == 403
    assert ModelVersion.objects.get(pk=challenger.pk).is_challenger


# Old pictures


def test_old_pictures_are_predicted_anew_by_the_active_version(
    admin_client: Client, admin_user: User, champion: ModelVersion
) -> None:
    make_prediction(champion)
    response = admin_client.post(url_of("repredict", champion), follow=True)

    assert "in the background, newest first" in texts(response)[0]
    run = RepredictionRun.objects.get()
    assert run.person == admin_user
    again = admin_client.post(url_of("repredict", champion), follow=True)
    assert "already" in texts(again)[0]

    cancelled = admin_client.post(url_of("repredict_cancel", champion), follow=True)
    assert texts(cancelled) == ["Cancelled; the answers so far stay."]
    assert "Last pass: cancelled" in cancelled.content.decode()
    late = admin_client.post(url_of("repredict_cancel", champion), follow=True)
    assert texts(late) == ["It had ended already."]


def test_a_version_that_does_not_serve_answers_nobody(
    admin_client: Client, challenger: ModelVersion
) -> None:
    response = admin_client.post(url_of("repredict", challenger), follow=True)
    assert "Only the active version answers" in texts(response)[0]
    assert not RepredictionRun.objects.exists()


def test_a_pass_that_stands_still_offers_to_go_on(
    admin_client: Client, champion: ModelVersion
) -> None:
    run = repredicting.start(champion)
    url = url_of("repredict_resume", champion)
    assert url not in admin_client.get(url_of("change", champion)).content.decode()
    RepredictionRun.objects.update(moved_at=run.moved_at - timedelta(hours=1))

    assert url in admin_client.get(url_of("change", champion)).content.decode()
    assert texts(admin_client.post(url, follow=True)) == ["A worker goes on with it."]
    assert texts(admin_client.post(url, follow=True)) == ["It does not stand still."]


# What people see


def later(prediction: Prediction, version: ModelVersion, **changes: Any) -> Reprediction:
    fields = {"probabilities": [0, 1, 0], "label": "green", "probability": 0.8, "agrees": False}
    return Reprediction.objects.create(
        prediction=prediction, model_version=version, **{"is_shadow": False, **fields, **changes}
    )


def test_the_result_page_shows_both_answers(
    client: Client, champion: ModelVersion, challenger: ModelVersion
) -> None:
    prediction = make_prediction(champion)
    later(prediction, challenger)

    content = client.get(prediction.get_absolute_url()).content.decode()

    assert "Version 2 now says <strong>green</strong> (80.0%)." in content
    assert "red" in content.split("<h1")[1].split("</h1>")[0]
    assert "counts more than both" not in content


def test_a_reviewer_counts_more_than_both_answers(
    client: Client, admin_user: User, champion: ModelVersion, challenger: ModelVersion
) -> None:
    prediction = make_prediction(champion)
    later(prediction, challenger)
    services.review_predictions([prediction], "blue", admin_user)

    content = client.get(prediction.get_absolute_url()).content.decode()

    assert "What a reviewer said counts more than both." in content


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"label": "red", "agrees": True}, "says the same by now: <strong>red</strong>"),
        ({"answer": "none"}, "now says: none of the classes it knows"),
    ],
)
def test_the_later_answer_is_told_as_it_is(
    client: Client, champion: ModelVersion, challenger: ModelVersion, changes: Any, text: str
) -> None:
    prediction = make_prediction(champion)
    later(prediction, challenger, **changes)
    assert text in client.get(prediction.get_absolute_url()).content.decode()


def test_a_challengers_word_is_for_reviewers_only(
    client: Client, admin_user: User, champion: ModelVersion, challenger: ModelVersion
) -> None:
    prediction = make_prediction(champion)
    later(prediction, challenger, is_shadow=True)

    assert "now says" not in client.get(prediction.get_absolute_url()).content.decode()
    client.force_login(admin_user)
    page = reverse("admin:recognition_prediction_change", args=[prediction.pk])
    content = client.get(page).content.decode()
    assert "What other versions say" in content
    assert "v2 (as challenger): <strong>green</strong>" in content
