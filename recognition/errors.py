"""Errors that reach people, and the one shape in which every page and the API tell them."""

import logging
from http import HTTPStatus
from typing import Final

from django.conf import settings
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.multipartparser import MultiPartParserError
from django.http.request import UnreadablePostError
from django.shortcuts import render

from ml.errors import ImageError, LacewingError

logger = logging.getLogger(__name__)

IMAGE_ERROR_STATUS: Final = {
    "bad_image": HTTPStatus.BAD_REQUEST,
    "unsupported_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "too_many_pixels": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "file_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
DATABASE_RETRY_AFTER_S = 5


class ApplicationError(LacewingError):
    """A refusal: a stable code for programs, a message for people, an HTTP status.

    `retry_after_s` becomes the Retry-After header where waiting helps.
    """

    def __init__(
        self, code: str, message: str, status: int, retry_after_s: int | None = None
    ) -> None:
        super().__init__(code, message)
        self.status = int(status)
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        """Pickle as a plain `ApplicationError`, whatever the arguments of the subclass."""
        return ApplicationError, (self.code, self.message, self.status, self.retry_after_s)


class NoActiveVersionError(ApplicationError):
    """Nothing can classify for this recognizer now; says which command mends it."""

    def __init__(self, slug: str) -> None:
        super().__init__(
            "no_model",
            f'The recognizer "{slug}" has no model version that can serve. Train one with '
            f'"python manage.py retrain {slug}", or activate one with '
            f'"python manage.py activate {slug} VERSION".',
            HTTPStatus.SERVICE_UNAVAILABLE,
            retry_after_s=30,
        )


class BusyError(ApplicationError):
    """All decoders were taken for as long as an upload may wait."""

    def __init__(self) -> None:
        super().__init__(
            "busy",
            "The server is busy with other pictures. Try again in a few seconds.",
            HTTPStatus.SERVICE_UNAVAILABLE,
            retry_after_s=5,
        )


class StorageFullError(ApplicationError):
    """The disk has no room for the picture or its row."""

    def __init__(self) -> None:
        super().__init__(
            "storage_full",
            "The server has no room left to store the picture. Nothing was kept; "
            "ask its administrator to free space.",
            HTTPStatus.SERVICE_UNAVAILABLE,
            retry_after_s=60,
        )


class FileTooLargeError(ApplicationError):
    """More bytes than one upload may have."""

    def __init__(self) -> None:
        super().__init__(
            "file_too_large",
            "The picture is larger than the "
            f"{settings.MAX_UPLOAD_BYTES / 2**20:g} MiB allowed. Upload a smaller copy of it.",
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        )


class TooManyRequestsError(ApplicationError):
    """A client that uploads more often than it may."""

    def __init__(self, limit: int, retry_after_s: int) -> None:
        super().__init__(
            "too_many_requests",
            f"More than the {limit} uploads a minute that are allowed. "
            f"Go on in {retry_after_s} seconds.",
            HTTPStatus.TOO_MANY_REQUESTS,
            retry_after_s,
        )


class BadRequestError(ApplicationError):
    """A request that says something it may not say."""

    def __init__(self, message: str, *, code: str = "bad_request") -> None:
        super().__init__(code, message, HTTPStatus.BAD_REQUEST)


def image_refusal(error: ImageError) -> ApplicationError:
    """Return the refusal of a picture, with the status of its code."""
    return ApplicationError(error.code, error.message, IMAGE_ERROR_STATUS[error.code])


def database_refusal(error: OperationalError) -> ApplicationError:
    """Return what a database that cannot work now means to the client."""
    if "disk is full" in str(error):
        return StorageFullError()
    return ApplicationError(
        "database_unavailable",
        "The database does not answer. Try again in a few seconds.",
        HTTPStatus.SERVICE_UNAVAILABLE,
        retry_after_s=DATABASE_RETRY_AFTER_S,
    )


def as_application_error(error: Exception) -> ApplicationError | None:
    """Return what `error` means to the client, or None where it is a fault of our own."""
    match error:
        case ApplicationError():
            return error
        case ImageError():
            return image_refusal(error)
        case OperationalError():
            logger.error("The database cannot work: %s", error)
            return database_refusal(error)
        case RequestDataTooBig():
            return ApplicationError(
                "request_too_large",
                "The form's fields are larger than the "
                f"{(settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0) / 2**20:g} MiB allowed. "
                'Send the picture as a file in the field "image".',
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            )
        case TooManyFieldsSent() | TooManyFilesSent():
            return BadRequestError(
                "The request has too many fields or files. Send one picture a request."
            )
        case MultiPartParserError() | UnreadablePostError():
            return BadRequestError(
                "The request's body ended early or is not well-formed multipart/form-data. "
                "Upload the picture again."
            )
        case _:
            return None


def wants_json(request: HttpRequest) -> bool:
    """Return True for the API and for clients that ask for JSON rather than a page."""
    return request.path.startswith("/api/") or (
        request.get_preferred_type(["text/html", "application/json"]) == "application/json"
    )


def error_response(request: HttpRequest, error: ApplicationError) -> HttpResponse:
    """Tell `error` as JSON or as a page, by `wants_json`; both name the request's id."""
    request_id = getattr(request, "request_id", "")
    response: HttpResponse
    if wants_json(request):
        body = {"code": error.code, "message": error.message, "request_id": request_id}
        response = JsonResponse({"error": body}, status=error.status)
    else:
        context = {
            "status": error.status,
            "code": error.code,
            "message": error.message,
            "request_id": request_id,
        }
        response = render(request, "error.html", context, status=error.status)
    if error.retry_after_s is not None:
        response["Retry-After"] = str(error.retry_after_s)
    return response


NOT_FOUND = ApplicationError(
    "not_found", "There is nothing at this address, or no longer.", HTTPStatus.NOT_FOUND
)
FORBIDDEN = ApplicationError(
    "forbidden", "You may not do this. Sign in with an account that may.", HTTPStatus.FORBIDDEN
)
CSRF_FAILED = ApplicationError(
    "csrf_failed",
    "The form was too old or came from another site. Reload the page and send it again.",
    HTTPStatus.FORBIDDEN,
)
SERVER_ERROR = ApplicationError(
    "server_error",
    "Something went wrong on the server. The error was logged under this request's id.",
    HTTPStatus.INTERNAL_SERVER_ERROR,
)


def method_not_allowed(request: HttpRequest, allowed: str) -> HttpResponse:
    """Answer 405; `allowed` is the Allow header, such as "GET, HEAD"."""
    error = ApplicationError(
        "method_not_allowed",
        f"{request.method} is not possible at this address; allowed: {allowed}.",
        HTTPStatus.METHOD_NOT_ALLOWED,
    )
    response = error_response(request, error)
    response["Allow"] = allowed
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django refused before a view ran (`handler400`)."""
    error = as_application_error(exception) or BadRequestError(
        "The request could not be understood. Reload the page and try again."
    )
    return error_response(request, error)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer `PermissionDenied` (`handler403`)."""
    return error_response(request, FORBIDDEN)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer `Http404` and unknown addresses (`handler404`)."""
    return error_response(request, NOT_FOUND)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a fault of our own (`handler500`), even where the error page itself fails."""
    try:
        return error_response(request, SERVER_ERROR)
    except Exception:
        # The page may need what has just failed, such as the database or a template.
        logger.exception("The error page failed too.")
        return HttpResponse(
            f"{SERVER_ERROR.message} {getattr(request, 'request_id', '')}",
            status=SERVER_ERROR.status,
            content_type="text/plain; charset=utf-8",
        )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form without a valid token (`CSRF_FAILURE_VIEW`)."""
    return error_response(request, CSRF_FAILED)
