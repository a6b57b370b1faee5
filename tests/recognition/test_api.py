import tomllib
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from recognition import services
from recognition.models import Prediction, Recognizer
from tests.recognition.pictures import make_picture

URL = "/api/v1/recognizers/colors/predictions"
NOBODYS_ID = "00000000-0000-4000-8000-000000000000"

pytestmark = pytest.mark.django_db


def upload(client: Client, data: bytes, query: str = "") -> Any:
    return client.post(URL + query, {"image": SimpleUploadedFile("x.jpg", data)})


def assert_error(response: Any, status: int, code: str) -> str:
    """Check the one shape of errors; return the message."""
    assert response.status_code == status
    assert response["Content-Type"] == "application/json"
    error = response.json()["error"]
    assert list(response.json()) == ["error"]
    assert set(error) == {"code", "message", "request_id"}
    assert error["code"] == code
    assert error["request_id"] == response["X-Request-ID"]
    return str(error["message"])


def test_upload_is_answered_with_its_classes(
    client: Client, served: Recognizer, picture_bytes: bytes
) -> None:
    response = upload(client, picture_bytes)

    assert response.status_code == 201
    body = response.json()
    row = Prediction.objects.get()
    assert set(body) == {
        "id", "recognizer", "version", "classes", "answer", "prediction_set", "novel",
        "duration_ms", "owner_url",
    }  # fmt: skip
    assert UUID(body["id"]) == row.id
    assert (body["recognizer"], body["version"]) == ("colors", 1)
    assert body["classes"][0]["label"] == "red"
    probabilities = [entry["probability"] for entry in body["classes"]]
    assert probabilities == sorted(row.probabilities, reverse=True)
    assert body["duration_ms"] == row.duration_ms
    assert response["Location"] == f"http://testserver/api/v1/predictions/{row.id}"
    assert client.get(response["Location"]).status_code == 200


@pytest.mark.parametrize(
    ("query", "count"), [("?top_k=1", 1), ("?top_k=2", 2), ("?top_k=3", 3), ("?top_k=1000", 3)]
)
def test_top_k_limits_the_classes(
    client: Client, served: Recognizer, picture_bytes: bytes, query: str, count: int
) -> None:
    created = upload(client, picture_bytes, query)
    assert len(created.json()["classes"]) == count
    assert len(client.get(created["Location"] + query).json()["classes"]) == count


@pytest.mark.parametrize("value", ["0", "-1", "x", "", "1.5", "9" * 5000, "\0"])
def test_wrong_top_k_is_refused_with_what_is_allowed(
    client: Client, served: Recognizer, picture_bytes: bytes, value: str
) -> None:
    response = client.post(
        URL,
        {"image": SimpleUploadedFile("x.jpg", picture_bytes)},
        query_params={"top_k": value},
    )
    message = assert_error(response, 400, "bad_request")
    assert "top_k" in message
    assert len(message) < 300
    assert not Prediction.objects.exists()


def test_upload_to_an_unknown_recognizer_names_those_there_are(
    client: Client, served: Recognizer, picture_bytes: bytes
) -> None:
    response = client.post(
        "/api/v1/recognizers/mauve/predictions",
        {"image": SimpleUploadedFile("x.jpg", picture_bytes)},
    )
    assert "colors" in assert_error(response, 404, "not_found")


def test_upload_without_picture_is_refused(client: Client, served: Recognizer) -> None:
    assert '"image"' in assert_error(client.post(URL), 400, "missing_image")
    other = client.post(URL, {"file": SimpleUploadedFile("x.jpg", b"x")})
    assert_error(other, 400, "missing_image")


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "bad_image"),
        (make_picture()[:-200], 400, "bad_image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "unsupported_type"),
        (make_picture(file_format="TIFF"), 415, "unsupported_type"),
    ],
    ids=["empty", "truncated", "svg", "tiff"],
)
def test_refused_picture_is_told_by_code_and_status(
    client: Client, served: Recognizer, data: bytes, status: int, code: str
) -> None:
    assert_error(upload(client, data), status, code)
    assert not Prediction.objects.exists()


def test_upload_without_active_version_says_when_to_come_back(
    client: Client, recognizer: Recognizer, picture_bytes: bytes
) -> None:
    response = upload(client, picture_bytes)
    assert "retrain colors" in assert_error(response, 503, "no_model")
    assert int(response["Retry-After"]) > 0


def test_upload_that_waits_too_long_is_told_to_come_back(
    client: Client, served: Recognizer, picture_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ml.sandbox import DecoderBusyError, DecoderProcess

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise DecoderBusyError

    monkeypatch.setattr(DecoderProcess, "decode", refuse)
    response = upload(client, picture_bytes)
    assert_error(response, 503, "busy")
    assert int(response["Retry-After"]) > 0


def test_prediction_is_read_with_its_review(
    client: Client, served: Recognizer, picture_bytes: bytes
) -> None:
    prediction = services.classify_upload(served, picture_bytes, visitor_id=None)
    url = f"/api/v1/predictions/{prediction.id}"

    body = client.get(url).json()
    assert (body["state"], body["suggested_label"], body["reviewed_label"]) == (
        "predicted",
        None,
        None,
    )
    assert body["picture_url"] == f"http://testserver/predictions/{prediction.id}/picture.jpg"
    assert body["url"] == f"http://testserver/predictions/{prediction.id}/"
    assert body["created_at"].startswith(prediction.created_at.strftime("%Y-%m-%dT%H:%M"))

    services.suggest_label(prediction, "green")
    services.review_predictions([prediction], "blue", User.objects.create_user("ada"))
    body = client.get(url).json()
    assert (body["state"], body["suggested_label"], body["reviewed_label"]) == (
        "reviewed",
        "green",
        "blue",
    )


@pytest.mark.parametrize("identifier", [NOBODYS_ID, "1", "not-a-uuid"])
def test_unknown_prediction_is_not_found(client: Client, identifier: str) -> None:
    assert_error(client.get(f"/api/v1/predictions/{identifier}"), 404, "not_found")


def test_recognizers_are_listed_with_what_serves(client: Client, served: Recognizer) -> None:
    Recognizer.objects.create(slug="untrained", name="Untrained")
    assert client.get("/api/v1/recognizers").json() == [
        {
            "slug": "colors",
            "name": "Colours",
            "description": "",
            "labels": ["blue", "green", "red"],
            "version": 1,
            "url": "http://testserver/colors/",
        },
        {
            "slug": "untrained",
            "name": "Untrained",
            "description": "",
            "labels": [],
            "version": None,
            "url": "http://testserver/untrained/",
        },
    ]


def test_list_of_recognizers_needs_the_same_queries_for_many(
    client: Client, served: Recognizer, django_assert_num_queries: Any
) -> None:
    for number in range(5):
        Recognizer.objects.create(slug=f"r{number}", name="R")
    with django_assert_num_queries(2):
        client.get("/api/v1/recognizers")


@pytest.mark.parametrize(
    ("method", "url", "allowed"),
    [
        ("get", URL, "POST"),
        ("delete", "/api/v1/recognizers", "GET"),
        ("post", f"/api/v1/predictions/{NOBODYS_ID}", "GET"),
    ],
)
def test_other_methods_are_refused_with_those_that_work(
    client: Client, method: str, url: str, allowed: str
) -> None:
    response = getattr(client, method)(url)
    assert allowed in assert_error(response, 405, "method_not_allowed")
    assert response["Allow"] == allowed


def test_address_that_is_none_is_told_in_the_same_shape(client: Client) -> None:
    assert_error(client.get("/api/v1/nothing"), 404, "not_found")
    assert_error(client.get("/api/v2/recognizers"), 404, "not_found")


def test_fault_of_our_own_tells_nothing_but_the_request(
    client: Client, served: Recognizer, picture_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the secret cause")

    monkeypatch.setattr(services, "classify_upload", fail)
    client.raise_request_exception = False
    response = upload(client, picture_bytes)
    assert "secret cause" not in assert_error(response, 500, "server_error")


def test_api_needs_no_csrf_token(served: Recognizer, picture_bytes: bytes) -> None:
    assert upload(Client(enforce_csrf_checks=True), picture_bytes).status_code == 201


def test_schema_documents_uploads_and_every_error(client: Client) -> None:
    schema = client.get("/api/v1/openapi.json").json()
    operation = schema["paths"]["/api/v1/recognizers/{slug}/predictions"]["post"]
    body = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert body["properties"]["image"]["format"] == "binary"
    assert set(operation["responses"]) == {
        "201", "400", "404", "405", "411", "413", "415", "429", "500", "503",
    }  # fmt: skip
    refused = operation["responses"]["413"]["content"]["application/json"]["schema"]
    assert refused == {"$ref": "#/components/schemas/ErrorOut"}
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    assert schema["info"]["version"] == project["version"]


def test_docs_need_neither_another_host_nor_inline_scripts(client: Client) -> None:
    response = client.get("/api/v1/docs")
    page = response.content.decode()
    assert response.status_code == 200
    assert "//" not in page.replace("http://testserver", "").replace("https://testserver", "")
    assert "script-src 'self'" in response["Content-Security-Policy"]
    for tag in page.split("<script")[1:]:
        assert "src=" in tag or 'type="application/json"' in tag
