"""Who may speak for an upload: the browser that made it, and whoever holds its key."""

from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core import signing
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from recognition import ownership
from recognition.models import ModelVersion, Prediction, Recognizer
from tests.recognition.pictures import make_picture
from tests.recognition.predictions import make_prediction

API = "/api/v1/predictions/"


def text_of(response: Any) -> str:
    return unescape(response.content.decode())


def upload(client: Client) -> Prediction:
    client.post("/colors/", {"image": SimpleUploadedFile("x.jpg", make_picture())})
    return Prediction.objects.latest("created_at")


@pytest.fixture
def prediction(add_version: Callable[..., ModelVersion]) -> Prediction:
    """Return an upload that no browser's cookie belongs to, as the API makes them."""
    return make_prediction(add_version())


def test_the_page_gives_the_uploader_a_link_of_their_own(
    client: Client, served: Recognizer
) -> None:
    own = upload(client)
    page = text_of(client.get(own.get_absolute_url()))
    assert f'value="http://testserver{ownership.owner_path(own.pk)}"' in page
    assert f'value="http://testserver{own.get_absolute_url()}"' in page


def test_others_see_the_page_without_a_key_or_a_question(
    client: Client, served: Recognizer
) -> None:
    theirs = upload(Client())
    page = text_of(client.get(theirs.get_absolute_url()))
    assert "Only who uploaded this picture may say what it shows." in page
    assert "That is right" not in page
    assert "Delete this picture" not in page
    assert ownership.owner_key(theirs.pk) not in page


def test_others_may_not_say_what_it_is(client: Client, served: Recognizer) -> None:
    theirs = upload(Client())
    response = client.post(f"{theirs.get_absolute_url()}suggestion/", {"label": "blue"})
    theirs.refresh_from_db()
    assert response.status_code == 403
    assert "by the uploader’s own link" in text_of(response)
    assert (theirs.state, theirs.suggested_label) == ("predicted", "")


def test_the_key_opens_the_page_in_any_browser(client: Client, prediction: Prediction) -> None:
    address = ownership.owner_path(prediction.pk)
    page = text_of(client.get(address))
    key = ownership.owner_key(prediction.pk)
    assert "That is right" in page
    assert "Delete this picture" in page
    assert page.count(f'<input type="hidden" name="key" value="{key}">') == 4
    assert "visitor" not in client.cookies


def test_with_the_key_a_suggestion_is_kept_and_the_key_with_it(
    client: Client, prediction: Prediction
) -> None:
    response = client.post(
        f"{prediction.get_absolute_url()}suggestion/",
        {"label": "blue", "key": ownership.owner_key(prediction.pk)},
    )
    prediction.refresh_from_db()
    assert (response.status_code, response["Location"]) == (
        303,
        ownership.owner_path(prediction.pk),
    )
    assert (prediction.state, prediction.suggested_label) == ("suggested", "blue")


def test_with_the_key_the_picture_is_deleted(client: Client, prediction: Prediction) -> None:
    response = client.post(
        f"{prediction.get_absolute_url()}deletion/", {"key": ownership.owner_key(prediction.pk)}
    )
    assert response.status_code == 303
    assert not Prediction.objects.exists()


def forged(prediction: Prediction) -> list[str]:
    """Return keys that open nothing: cut, another upload's, of another salt, of no form at all."""
    foreign = make_prediction(prediction.model_version)
    key = ownership.owner_key(prediction.pk)
    return [
        key[:-1],
        ownership.owner_key(foreign.pk),
        signing.Signer(salt="recognition.visitors").signature(str(prediction.pk)),
        "x" * 5000,
        "\0:é",
    ]


def test_a_wrong_key_is_refused_whatever_it_asks_for(
    client: Client, prediction: Prediction
) -> None:
    address = prediction.get_absolute_url()
    for key in forged(prediction):
        for response in (
            client.get(address, {"key": key}),
            client.post(f"{address}suggestion/", {"label": "blue", "key": key}),
            client.post(f"{address}deletion/", {"key": key}),
            client.post(f"{API}{prediction.pk}/suggestion", {"label": "blue", "key": key[:200]},
                        content_type="application/json"),
        ):  # fmt: skip
            assert response.status_code == 403
            assert "does not belong to this picture" in text_of(response)
    prediction.refresh_from_db()
    assert prediction.state == "predicted"


def test_a_wrong_key_is_not_mended_by_a_cookie(client: Client, served: Recognizer) -> None:
    own = upload(client)
    assert client.get(own.get_absolute_url(), {"key": "x"}).status_code == 403


def test_a_key_outlives_a_new_secret_while_the_old_one_is_known(
    client: Client, prediction: Prediction, settings: Any
) -> None:
    address = ownership.owner_path(prediction.pk)
    old = settings.SECRET_KEY
    settings.SECRET_KEY = "another secret key, long enough for signing things with it"
    assert client.get(address).status_code == 403
    settings.SECRET_KEY_FALLBACKS = [old]
    assert client.get(address).status_code == 200


def test_a_keyed_page_keeps_the_key_when_more_classes_are_asked_for(
    client: Client, prediction: Prediction
) -> None:
    key = ownership.owner_key(prediction.pk)
    page = text_of(client.get(prediction.get_absolute_url(), {"key": key, "top_k": "1"}))
    assert f'href="?top_k=3&key={key}"' in page


def test_the_api_gives_the_key_once_and_takes_a_suggestion_with_it(
    client: Client, served: Recognizer, picture_bytes: bytes
) -> None:
    created = client.post(
        "/api/v1/recognizers/colors/predictions",
        {"image": SimpleUploadedFile("x.jpg", picture_bytes)},
    ).json()
    owner_url = urlsplit(created["owner_url"])
    assert "That is right" in text_of(Client().get(f"{owner_url.path}?{owner_url.query}"))

    address = f"{API}{created['id']}"
    key = owner_url.query.removeprefix("key=")
    assert "owner_url" not in client.get(address).json()
    for label in ("blue", None):
        response = client.post(
            f"{address}/suggestion", {"key": key, "label": label}, content_type="application/json"
        )
        assert response.status_code == 200
        assert response.json()["state"] == "suggested"
        assert response.json()["suggestion"]["label"] == label
        row = Prediction.objects.get()
        assert (row.state, row.suggested_label) == ("suggested", label or "")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"label": "purple"}, "unknown_label"),
        ({"label": ""}, "unknown_label"),
        ({"label": 3}, "bad_request"),
        ({}, "bad_request"),
    ],
)
def test_the_api_refuses_what_is_no_label(
    client: Client, prediction: Prediction, body: dict[str, Any], code: str
) -> None:
    response = client.post(
        f"{API}{prediction.pk}/suggestion",
        body | {"key": ownership.owner_key(prediction.pk)},
        content_type="application/json",
    )
    prediction.refresh_from_db()
    assert (response.status_code, response.json()["error"]["code"]) == (400, code)
    assert prediction.state == "predicted"


def test_the_api_wants_a_key_even_from_the_browser_that_uploaded(
    client: Client, served: Recognizer
) -> None:
    own = upload(client)
    response = client.post(
        f"{API}{own.pk}/suggestion", {"label": "blue"}, content_type="application/json"
    )
    assert response.status_code == 400
    assert '"key"' in response.json()["error"]["message"]
