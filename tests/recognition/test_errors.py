"""The one shape of errors for the whole site, and the id that each request has."""

import pickle
import re
from http import HTTPStatus
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.test import Client
from django.urls import include, path
from django.views.decorators.http import require_POST

from ml.errors import ImageError
from recognition import errors
from recognition.errors import ApplicationError, BusyError
from recognition.middleware import RequestIdFilter

RAISED: dict[str, Exception] = {}


def raise_it(request: HttpRequest) -> HttpResponse:
    raise RAISED["error"]


@require_POST
def only_post(request: HttpRequest) -> HttpResponse:
    return HttpResponse("posted")


urlpatterns = [
    path("raise/", raise_it),
    path("api/raise/", raise_it),
    path("only-post/", only_post),
    path("", include("classifier_site.urls")),
]
handler400 = "recognition.errors.bad_request"
handler403 = "recognition.errors.permission_denied"
handler404 = "recognition.errors.page_not_found"
handler500 = "recognition.errors.server_error"

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db]

CASES = [
    (BusyError(), 503, "busy"),
    (ApplicationError("odd", "Odd.", HTTPStatus.CONFLICT), 409, "odd"),
    (ImageError("bad_image", "Bad."), 400, "bad_image"),
    (ImageError("unsupported_type", "Bad."), 415, "unsupported_type"),
    (ImageError("too_many_pixels", "Bad."), 413, "too_many_pixels"),
    (ImageError("file_too_large", "Bad."), 413, "file_too_large"),
    (OperationalError("database is locked"), 503, "database_unavailable"),
    (OperationalError("database or disk is full"), 503, "storage_full"),
    (Http404(), 404, "not_found"),
    (PermissionDenied(), 403, "forbidden"),
    (RuntimeError("secret cause"), 500, "server_error"),
]


@pytest.mark.parametrize(("error", "status", "code"), CASES, ids=lambda value: repr(value))
@pytest.mark.parametrize("url", ["/raise/", "/api/raise/"])
def test_error_is_told_as_page_and_as_json(
    client: Client, url: str, error: Exception, status: int, code: str
) -> None:
    RAISED["error"] = error
    client.raise_request_exception = False
    response = client.get(url)
    assert response.status_code == status
    text = response.content.decode()
    assert response["X-Request-ID"] in text
    assert "secret cause" not in text
    if url.startswith("/api/"):
        assert response.json()["error"]["code"] == code
    else:
        assert response["Content-Type"].startswith("text/html")
        assert not isinstance(error, ApplicationError) or error.message in text
    assert ("Retry-After" in response) == (status == 503)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html; charset=utf-8"),
        ("*/*", "text/html; charset=utf-8"),
    ],
)
def test_client_that_asks_for_json_gets_it_everywhere(
    client: Client, accept: str, kind: str
) -> None:
    assert client.get("/nothing/at/all/", headers={"accept": accept})["Content-Type"] == kind


def test_refused_method_says_what_works(client: Client) -> None:
    response = client.get("/only-post/")
    assert response.status_code == 405
    assert response["Allow"] == "POST"
    assert "POST" in response.content.decode()


def test_form_without_token_is_refused_in_our_words() -> None:
    response = Client(enforce_csrf_checks=True).post("/only-post/")
    assert response.status_code == 403
    assert "Reload the page" in response.content.decode()


def test_server_error_is_told_even_when_its_page_fails(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> HttpResponse:
        raise RuntimeError("the page fails too")

    RAISED["error"] = RuntimeError("secret cause")
    monkeypatch.setattr(errors, "render", fail)
    client.raise_request_exception = False
    response = client.get("/raise/")
    assert response.status_code == 500
    assert response["Content-Type"].startswith("text/plain")
    assert response["X-Request-ID"] in response.content.decode()
    assert "fails too" not in response.content.decode()


def test_each_request_has_an_id_of_ours(client: Client) -> None:
    ids = {
        client.get("/healthz", headers={"x-request-id": "mine\tforged"})["X-Request-ID"]
        for _ in range(3)
    }
    assert len(ids) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", request_id) for request_id in ids)


def test_log_records_carry_the_id_of_their_request(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.addFilter(RequestIdFilter())
    response = client.get("/nothing/at/all/")
    records = [record for record in caplog.records if record.name == "django.request"]
    assert [record.__dict__["request_id"] for record in records] == [response["X-Request-ID"]]


def test_refusals_are_logged_without_traceback(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    for error, status, _ in CASES:
        if status in (403, 500):
            continue
        RAISED["error"] = error
        client.get("/raise/")
    assert caplog.records
    assert not [record for record in caplog.records if record.exc_info]


def test_error_crosses_a_process_border() -> None:
    error = pickle.loads(pickle.dumps(BusyError()))  # noqa: S301
    assert (error.code, error.status, error.retry_after_s) == ("busy", 503, 5)
