"""The JSON API, version 1: upload a picture, read predictions, list recognizers.

Errors have the one shape of `recognition.errors`; `ErrorMiddleware` tells those that
operations raise.
"""

import tomllib
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError as RefusedValueError
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from ninja import NinjaAPI, Path, Query, Status
from ninja.errors import HttpError, ValidationError

from recognition import erasing, ownership, services
from recognition.api_bodies import answered, stored
from recognition.errors import (
    NOT_FOUND,
    ApplicationError,
    BadRequestError,
    error_response,
)
from recognition.limits import IMAGE_FIELD, read_upload
from recognition.models import ModelVersion, Prediction, Recognizer
from recognition.reviewing import NONE_OF_THESE
from recognition.schemas import (
    CreatedPredictionOut,
    ErrorOut,
    PredictionOut,
    RecognizerOut,
    SuggestionIn,
    TopKQuery,
)
from recognition.visitors import visitor_id_of

SHOWN_INPUT_CHARS = 60


UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [IMAGE_FIELD],
                    "properties": {
                        IMAGE_FIELD: {
                            "type": "string",
                            "format": "binary",
                            "description": "One JPEG, PNG, WebP, AVIF, HEIC or GIF file.",
                        }
                    },
                }
            }
        },
    }
}

READ_ERRORS: dict[Any, Any] = {400: ErrorOut, 404: ErrorOut, 405: ErrorOut, 500: ErrorOut}
UPLOAD_ERRORS: dict[Any, Any] = READ_ERRORS | {
    411: ErrorOut,
    413: ErrorOut,
    415: ErrorOut,
    429: ErrorOut,
    503: ErrorOut,
}


def project_version() -> str:
    """Return the version that pyproject.toml gives the project."""
    project = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text("utf-8"))["project"]
    return str(project["version"])


api = NinjaAPI(
    title="Lacewing",
    version=project_version(),
    description=(
        "Self-hosted image recognition. Upload a picture, get the probability of every class. "
        'Errors are always `{"error": {"code", "message", "request_id"}}`.'
    ),
    urls_namespace="api",
)


@api.post(
    "/recognizers/{slug}/predictions",
    response={201: CreatedPredictionOut, **UPLOAD_ERRORS},
    openapi_extra=UPLOAD_BODY,
    summary="Classify a picture",
    operation_id="create_prediction",
    tags=["predictions"],
)
def create_prediction(
    request: HttpRequest, response: HttpResponse, slug: Path[str], query: Query[TopKQuery]
) -> Status[dict[str, Any]]:
    """Classify one uploaded picture and store the prediction.

    The picture is re-encoded without its metadata before it is stored. Codes of errors:
    `missing_image`, `too_many_files`, `bad_image`, `bad_request` (400), `not_found` (404),
    `file_too_large`, `too_many_pixels` (413), `unsupported_type` (415),
    `too_many_requests` (429), `no_model`, `busy`, `storage_full` (503).
    """
    recognizer = Recognizer.objects.filter(slug=slug).first()
    if recognizer is None:
        raise _unknown_recognizer(slug)
    prediction = services.classify_upload(
        recognizer, read_upload(request), visitor_id=visitor_id_of(request)
    )
    response["Location"] = request.build_absolute_uri(
        reverse("api:read_prediction", args=[prediction.id])
    )
    created = answered(prediction, query.top_k) | {
        "owner_url": request.build_absolute_uri(ownership.owner_path(prediction.pk))
    }
    return Status(HTTPStatus.CREATED, created)


@api.get(
    "/predictions/{uuid:prediction_id}",
    response={200: PredictionOut, 410: ErrorOut, **READ_ERRORS},
    summary="Read a prediction",
    operation_id="read_prediction",
    tags=["predictions"],
)
def read_prediction(
    request: HttpRequest, prediction_id: UUID, query: Query[TopKQuery]
) -> dict[str, Any]:
    """Return a stored prediction; who knows its id may read it.

    Codes of errors: `bad_request` (400), `not_found` (404), `deleted` (410).
    """
    prediction = _prediction(prediction_id)
    return stored(request, prediction, query.top_k)


@api.post(
    "/predictions/{uuid:prediction_id}/suggestion",
    response={200: PredictionOut, 403: ErrorOut, 410: ErrorOut, **READ_ERRORS},
    summary="Say what the picture shows",
    operation_id="suggest_label",
    tags=["predictions"],
)
def suggest_label(
    request: HttpRequest, prediction_id: UUID, suggestion: SuggestionIn, query: Query[TopKQuery]
) -> dict[str, Any]:
    """Keep what the uploader says; a reviewer will look at it. A later one replaces it.

    It trains nothing by itself. Codes of errors: `bad_request`, `unknown_label` (400),
    `wrong_key` (403), `not_found` (404), `deleted` (410).
    """
    prediction = _prediction(prediction_id)
    ownership.check_key(prediction_id, suggestion.key)
    label = NONE_OF_THESE if suggestion.label is None else suggestion.label
    if suggestion.label == NONE_OF_THESE:
        raise BadRequestError(
            "Received an empty label; null says that it is none of the classes.",
            code="unknown_label",
        )
    try:
        services.suggest_label(prediction, label)
    except RefusedValueError as error:
        raise BadRequestError(" ".join(error.messages), code="unknown_label") from None
    return stored(request, prediction, query.top_k)


def _prediction(prediction_id: UUID) -> Prediction:
    rows = Prediction.objects.select_related("recognizer", "model_version")
    prediction = rows.filter(pk=prediction_id).first()
    if prediction is None:
        raise erasing.gone(prediction_id) or NOT_FOUND
    return prediction


@api.get(
    "/recognizers",
    response={200: list[RecognizerOut], 405: ErrorOut, 500: ErrorOut},
    summary="List recognizers",
    operation_id="list_recognizers",
    tags=["recognizers"],
)
def list_recognizers(request: HttpRequest) -> list[dict[str, Any]]:
    """Return every recognizer, by name."""
    active = Prefetch(
        "versions", ModelVersion.objects.filter(is_active=True), to_attr="active_versions"
    )
    return [
        {
            "slug": recognizer.slug,
            "name": recognizer.name,
            "description": recognizer.description,
            "labels": version.labels if version else [],
            "version": version.number if version else None,
            "url": request.build_absolute_uri(recognizer.get_absolute_url()),
        }
        for recognizer in Recognizer.objects.prefetch_related(active)
        for version in [next(iter(recognizer.active_versions), None)]
    ]


def _unknown_recognizer(slug: str) -> ApplicationError:
    known = ", ".join(Recognizer.objects.order_by("slug").values_list("slug", flat=True))
    return ApplicationError(
        "not_found",
        f'There is no recognizer "{slug[:SHOWN_INPUT_CHARS]}"; there is: {known or "none yet"}.',
        HTTPStatus.NOT_FOUND,
    )


@api.exception_handler(Exception)
def _leave_to_middleware(request: HttpRequest, error: Exception) -> HttpResponse:
    """Let `ErrorMiddleware` and `handler500` tell it, with DEBUG on as well as off."""
    raise error


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    """Answer parameters that ninja refused: which, what came, what is allowed."""
    faults = []
    for fault in error.errors:
        name = str(fault["loc"][-1])
        received = request.GET.get(name)
        came = "" if received is None else f', received "{received[:SHOWN_INPUT_CHARS]}"'
        faults.append(f'"{name}": {fault["msg"]}{came}.')
    return error_response(request, BadRequestError(" ".join(faults)))


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return error_response(request, NOT_FOUND)


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Answer what ninja itself refuses, such as a body that is no JSON."""
    return error_response(request, BadRequestError(error.message))
