from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from django.core import signing
from django.http import HttpResponse
from django.test import Client, RequestFactory

from recognition import visitors
from recognition.middleware import VisitorMiddleware
from recognition.models import Recognizer


def test_looking_around_sets_no_cookie(client: Client, served: Recognizer) -> None:
    for url in ("/", "/colors/", "/history/", "/api/v1/recognizers"):
        assert visitors.COOKIE_NAME not in client.get(url).cookies, url


def answer_upload(cookie: str | None) -> tuple[UUID, HttpResponse]:
    """Let a request with this cookie upload; return the visitor's id and the response."""
    request = RequestFactory().post("/")
    if cookie is not None:
        request.COOKIES[visitors.COOKIE_NAME] = cookie
    seen: list[UUID] = []

    def view(request: object) -> HttpResponse:
        seen.append(visitors.ensure_visitor_id(request))  # type: ignore[arg-type]
        return HttpResponse()

    response = VisitorMiddleware(view)(request)
    return seen[0], response


def test_first_upload_gives_a_cookie_that_scripts_and_other_sites_do_not_get() -> None:
    visitor_id, response = answer_upload(None)
    cookie = response.cookies[visitors.COOKIE_NAME]
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Lax", "")
    assert answer_upload(cookie.value)[0] == visitor_id
    assert not answer_upload(cookie.value)[1].cookies


def test_cookie_is_only_sent_over_https_where_the_site_is(
    settings: pytest.FixtureRequest,
) -> None:
    settings.SESSION_COOKIE_SECURE = True  # type: ignore[attr-defined]
    assert answer_upload(None)[1].cookies[visitors.COOKIE_NAME]["secure"] is True


def signed(value: str, salt: str) -> str:
    return str(signing.get_cookie_signer(salt=visitors.COOKIE_NAME + salt).sign(value))


@pytest.mark.parametrize(
    "forge",
    [
        lambda: "",
        lambda: str(uuid4()),
        lambda: signed(str(uuid4()), "another purpose"),
        lambda: signed("no uuid", visitors.COOKIE_SALT),
    ],
    ids=["empty", "unsigned", "signed for another purpose", "signed nonsense"],
)
def test_forged_cookie_is_a_new_visitor(forge: Callable[[], str]) -> None:
    forged = forge()
    visitor_id, response = answer_upload(forged)
    assert str(visitor_id) not in forged
    assert visitors.COOKIE_NAME in response.cookies
