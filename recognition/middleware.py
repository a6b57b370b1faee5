"""Around every request: an id, limits before a byte is parsed, the visitor, errors told alike."""

import logging
from collections.abc import Callable
from contextvars import ContextVar
from http import HTTPStatus
from uuid import uuid4

from csp.middleware import CSPMiddleware, PolicyParts
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from recognition import errors, visitors

GetResponse = Callable[[HttpRequest], HttpResponse]

MULTIPART_OVERHEAD_BYTES = 64 * 1024  # boundaries, headers and the other fields of the form
METHODS_WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")

_request_id: ContextVar[str] = ContextVar("request_id", default="-")


class RequestIdFilter(logging.Filter):
    """Give each log record the `request_id` of the request at hand, "-" outside of one."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id, unless the record brings one; keep every record."""
        if not hasattr(record, "request_id"):
            record.request_id = _request_id.get()
        return True


class RequestIdMiddleware:
    """Name each request, for the log, the error shown and the X-Request-ID header.

    A client's own X-Request-ID is not taken over: it would let it write into the log.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Set the id, and tell it in the response."""
        request_id = uuid4().hex
        request.request_id = request_id  # type: ignore[attr-defined]
        # Not reset afterwards: Django logs 4xx and 5xx when the middleware has returned.
        _request_id.set(request_id)
        response = self.get_response(request)
        response["X-Request-ID"] = request_id
        return response


class ContentSecurityPolicyMiddleware(CSPMiddleware):
    """Send the strict policy, with what the admin needs beyond it on the admin's pages alone."""

    def get_policy_parts(
        self, request: HttpRequest, response: HttpResponseBase, report_only: bool = False
    ) -> PolicyParts:
        """Return the parts of the policy for this response."""
        parts = super().get_policy_parts(request, response, report_only)
        match = request.resolver_match
        if not report_only and match is not None and match.namespaces[:1] == ["admin"]:
            parts.update = {**settings.ADMIN_CONTENT_SECURITY_POLICY, **(parts.update or {})}
        return parts


class UploadLimitMiddleware:
    """Refuse a body that is too large, or of no stated length, before a byte is parsed."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Refuse, or go on."""
        if request.method in METHODS_WITH_BODY and (error := self._refusal(request)):
            return errors.error_response(request, error)
        return self.get_response(request)

    @staticmethod
    def _refusal(request: HttpRequest) -> errors.ApplicationError | None:
        length = str(request.META.get("CONTENT_LENGTH", ""))
        if not length:
            if "HTTP_TRANSFER_ENCODING" not in request.META and not request.content_type:
                return None  # no body
            return errors.ApplicationError(
                "length_required",
                "The request does not say how long its body is. Send a Content-Length header.",
                HTTPStatus.LENGTH_REQUIRED,
            )
        if not (length.isascii() and length.isdigit()):
            return errors.BadRequestError(
                "The Content-Length header must be a whole number of bytes."
            )
        # Compared by digits first: int() refuses thousands of them.
        limit = settings.MAX_UPLOAD_BYTES + MULTIPART_OVERHEAD_BYTES
        digits = length.lstrip("0") or "0"
        if len(digits) > len(str(limit)) or int(digits) > limit:
            return errors.FileTooLargeError()
        return None


class VisitorMiddleware:
    """Set `request.visitor_id`, and the cookie when a first upload has made one."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Read the cookie before the view and set a new one after it."""
        request.visitor_id = visitors.read_visitor_id(request)  # type: ignore[attr-defined]
        response = self.get_response(request)
        visitors.remember_visitor(request, response)
        return response


class ErrorMiddleware:
    """Tell what views raise, and methods that they do not take, in the one shape of errors."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer 405 in the shape of errors."""
        response = self.get_response(request)
        if response.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            return errors.method_not_allowed(request, response.get("Allow", ""))
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer what is the client's to mend or to wait for; leave our own faults to Django."""
        error = errors.as_application_error(exception)
        return errors.error_response(request, error) if error else None
