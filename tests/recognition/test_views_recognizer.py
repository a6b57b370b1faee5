"""Home and the page of one recognizer: what they show, and what an upload by form does."""

from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from recognition.errors import BusyError, FileTooLargeError
from recognition.models import ModelVersion, Prediction, Recognizer
from tests.recognition.pictures import make_picture


def text_of(response: Any) -> str:
    return unescape(response.content.decode())


def upload(client: Client, data: bytes, **options: Any) -> Any:
    return client.post("/colors/", {"image": SimpleUploadedFile("x.jpg", data)}, **options)


def test_home_offers_each_recognizer_a_picture(client: Client, served: Recognizer) -> None:
    Recognizer.objects.create(slug="shapes", name="Shapes")
    response = client.get("/")
    page = text_of(response)
    assert response.status_code == 200
    assert '<form class="upload-form" action="/colors/" method="post"' in page
    assert 'action="/shapes/"' not in page
    assert "python manage.py retrain shapes" in page


def test_home_without_recognizers_says_how_to_make_one(client: Client, db: None) -> None:
    assert "python manage.py retrain NAME --data FOLDER" in text_of(client.get("/"))


def test_home_asks_the_database_as_often_for_many_recognizers_as_for_one(
    client: Client, served: Recognizer, django_assert_num_queries: Any
) -> None:
    for number in range(5):
        Recognizer.objects.create(slug=f"more-{number}", name=f"More {number}")
    with django_assert_num_queries(2):
        client.get("/")


def test_a_recognizer_shows_its_classes_as_words_and_its_measurements(
    client: Client, add_version: Callable[..., ModelVersion]
) -> None:
    version = add_version(labels=["deep_blue", "green", "red"])
    version.metrics = {
        "accuracy": 0.9958,
        "accuracy_low": 0.9943,
        "accuracy_high": 0.9969,
        "n_test": 10000,
    }
    version.save()
    page = text_of(client.get("/colors/"))
    assert '<li class="chip" data-label="deep_blue">deep blue</li>' in page
    assert "Right on <strong>99.6%</strong> of 10,000 test pictures" in page
    assert "(95% interval 99.4% to 99.7%)" in page


def test_a_recognizer_says_what_becomes_of_pictures_of_anything_else(
    client: Client, served: Recognizer
) -> None:
    version = served.active_version()
    page = client.get(served.get_absolute_url())
    assert "is still given to the class that resembles it most" in page.content.decode()
    version.metrics = {**version.metrics, "known_refused": 0.042}
    version.save(update_fields=["metrics"])
    page = client.get(served.get_absolute_url())
    assert "mostly says that it is none of them" in page.content.decode()
    assert "4.2" in page.content.decode()


def test_a_recognizer_without_measurements_says_so(client: Client, served: Recognizer) -> None:
    served.versions.update(metrics={})
    assert "registered without measurements" in text_of(client.get("/colors/"))


def test_an_unknown_recognizer_is_not_found(client: Client, db: None) -> None:
    response = client.get("/unicorns/")
    assert response.status_code == 404
    assert "Not found" in text_of(response)


def test_a_good_upload_redirects_to_its_prediction(
    client: Client, served: Recognizer, picture_bytes: bytes
) -> None:
    response = upload(client, picture_bytes)
    prediction = Prediction.objects.get()
    assert response.status_code == 303
    assert response["Location"] == f"/predictions/{prediction.pk}/"
    assert prediction.label == "red"
    assert str(prediction.visitor_id) in client.cookies["visitor"].value


def test_an_upload_by_htmx_gets_its_row_and_where_it_lies(
    client: Client, served: Recognizer, picture_bytes: bytes
) -> None:
    response = upload(client, picture_bytes, headers={"HX-Request": "true"})
    prediction = Prediction.objects.get()
    assert response.status_code == 201
    assert response["Location"] == f"/predictions/{prediction.pk}/"
    assert text_of(response).lstrip().startswith('<li class="upload" data-label="red">')
    assert "<html" not in text_of(response)


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415), (make_picture()[:300], 400)],
    ids=["no picture", "truncated"],
)
def test_a_refused_upload_shows_the_form_again_with_the_messages_of_the_api(
    client: Client, served: Recognizer, data: bytes, status: int
) -> None:
    page = upload(client, data)
    api = client.post(
        "/api/v1/recognizers/colors/predictions", {"image": SimpleUploadedFile("x.jpg", data)}
    )
    assert page.status_code == api.status_code == status
    assert api.json()["error"]["message"] in text_of(page)
    assert 'role="alert"' in text_of(page)
    assert 'action="/colors/"' in text_of(page)
    assert not Prediction.objects.exists()


def test_a_refused_upload_is_json_where_that_was_asked_for(
    client: Client, served: Recognizer
) -> None:
    response = upload(client, b"no picture", headers={"Accept": "application/json"})
    assert response.status_code == 415
    assert response.json()["error"]["code"] == "unsupported_type"


def test_an_upload_without_a_file_says_so(client: Client, served: Recognizer) -> None:
    response = client.post("/colors/", {})
    assert response.status_code == 400
    assert "No picture was received" in text_of(response)


def test_a_file_over_the_limit_gets_the_message_that_the_page_carries_for_its_script(
    client: Client, served: Recognizer, settings: Any
) -> None:
    settings.MAX_UPLOAD_BYTES = 2048
    page = text_of(client.get("/colors/"))
    response = upload(client, b"x" * 2049)
    assert 'data-max-bytes="2048"' in page
    assert f'data-too-large="{FileTooLargeError().message}"' in page
    assert response.status_code == 413
    assert FileTooLargeError().message in text_of(response)


def test_a_busy_server_says_when_to_come_back(
    client: Client, served: Recognizer, picture_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise BusyError

    monkeypatch.setattr("recognition.services.classify_upload", refuse)
    response = upload(client, picture_bytes)
    assert response.status_code == 503
    assert int(response["Retry-After"]) >= 1
    assert BusyError().message in text_of(response)


def test_an_upload_to_a_recognizer_without_a_version_names_the_command(
    client: Client, recognizer: Recognizer, picture_bytes: bytes
) -> None:
    response = upload(client, picture_bytes)
    assert response.status_code == 503
    assert "python manage.py retrain colors" in text_of(response)


def test_an_upload_without_its_forms_token_is_refused(
    served: Recognizer, picture_bytes: bytes
) -> None:
    response = upload(Client(enforce_csrf_checks=True), picture_bytes)
    assert response.status_code == 403
    assert not Prediction.objects.exists()


def test_a_page_is_not_changed_by_other_methods(client: Client, served: Recognizer) -> None:
    for method in ("put", "delete", "patch"):
        assert getattr(client, method)("/colors/").status_code == 405
    assert client.post("/").status_code == 405


def test_a_body_refused_before_it_is_read_leads_back_to_the_form(
    client: Client, served: Recognizer, settings: Any
) -> None:
    settings.MAX_UPLOAD_BYTES = 2048
    response = upload(client, b"x" * 100_000)
    assert response.status_code == 413
    assert FileTooLargeError().message in text_of(response)
    assert '<a class="button" href="/colors/">Back to the form</a>' in text_of(response)
