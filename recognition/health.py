"""Probes: whether the process answers, and whether it can do its work."""

from http import HTTPStatus

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from recognition import serving


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Answer 200 while the process lives; asks nothing of the database."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Answer 200 while uploads can be classified, "degraded" where a stand-in does it, or 503."""
    state = serving.registry.state()
    unavailable = state["status"] == "unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE if unavailable else HTTPStatus.OK
    return JsonResponse(state, status=status)
