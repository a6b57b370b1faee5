"""Who uploaded: a random id in a signed cookie, given with the first upload. No account."""

from uuid import UUID, uuid4

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

COOKIE_NAME = "visitor"
COOKIE_SALT = "recognition.visitors"
COOKIE_MAX_AGE_S = 400 * 24 * 3600  # the longest that browsers keep a cookie


def read_visitor_id(request: HttpRequest) -> UUID | None:
    """Return the id in the request's cookie, or None where it has none or a forged one."""
    try:
        return UUID(
            request.get_signed_cookie(COOKIE_NAME, salt=COOKIE_SALT, max_age=COOKIE_MAX_AGE_S)
        )
    except (KeyError, signing.BadSignature, ValueError):
        return None


def visitor_id_of(request: HttpRequest) -> UUID | None:
    """Return the id of the request's visitor, or None while nothing was uploaded."""
    visitor_id: UUID | None = getattr(request, "visitor_id", None)
    return visitor_id


def ensure_visitor_id(request: HttpRequest) -> UUID:
    """Return the visitor's id, making one for a first upload; the response will carry it."""
    visitor_id = visitor_id_of(request)
    if visitor_id is None:
        visitor_id = uuid4()
        request.visitor_id = visitor_id  # type: ignore[attr-defined]
        request.visitor_is_new = True  # type: ignore[attr-defined]
    return visitor_id


def remember_visitor(request: HttpRequest, response: HttpResponse) -> None:
    """Set the cookie of a visitor whom `ensure_visitor_id` has just made."""
    if getattr(request, "visitor_is_new", False):
        response.set_signed_cookie(
            COOKIE_NAME,
            str(visitor_id_of(request)),
            salt=COOKIE_SALT,
            max_age=COOKIE_MAX_AGE_S,
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            samesite="Lax",
        )
