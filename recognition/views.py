"""Pages: what each needs from rows and services, and nothing else."""

import uuid
from http import HTTPStatus
from typing import Any, Final, TypeVar

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.db.models import Prefetch
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_http_methods, require_POST

from ml.explanation import overlay_png
from recognition import erasing, ownership, services
from recognition.errors import (
    ApplicationError,
    BadRequestError,
    FileTooLargeError,
    error_response,
    wants_json,
)
from recognition.forms import DEFAULT_TOP_K, read_top_k
from recognition.leaderboards import has_leaderboard
from recognition.limits import read_upload
from recognition.models import (
    ErasureReceipt,
    ModelVersion,
    Prediction,
    Recognizer,
    Reprediction,
)
from recognition.verdicts import verdict_of
from recognition.visitors import ensure_visitor_id, visitor_id_of

PICTURES_A_PAGE: Final = 24
OVERLAY_LONG_SIDE_PX: Final = 512  # the map has few cells; the browser scales it further
TINY_PX: Final = 128  # below, pictures are shown larger, pixel by pixel
IMMUTABLE: Final = "private, max-age=31536000, immutable"
SANDBOX: Final = "sandbox; default-src 'none'"

PictureResponse = TypeVar("PictureResponse", HttpResponse, FileResponse)

only_for_this_browser = cache_control(private=True, no_cache=True)


class SeeOther(HttpResponseRedirect):
    """A redirect after a POST that every client follows with GET."""

    status_code = HTTPStatus.SEE_OTHER


@require_http_methods(["GET", "HEAD"])
def home(request: HttpRequest) -> HttpResponse:
    """Show every recognizer with an area to drop a picture on.

    Models: `Recognizer` with its active `ModelVersion`.
    Template: `recognition/home.html`.
    Context: `recognizers`, each with the list `active_versions` (one or none);
    `upload_limits`.
    """
    recognizers = Recognizer.objects.prefetch_related(
        Prefetch("versions", ModelVersion.objects.filter(is_active=True), to_attr="active_versions")
    )
    context = {"recognizers": recognizers, "upload_limits": _upload_limits()}
    return render(request, "recognition/home.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
def recognizer(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one recognizer, or classify the picture posted in the field `image`.

    A good upload redirects to its prediction; htmx and the page's own script get its row
    for the list of uploads. A refused one shows the form again, with the refusal's message
    and status.

    Models: `Recognizer`, its active `ModelVersion`, `Prediction`.
    Templates: `recognition/recognizer.html`, `recognition/_upload_result.html`.
    Context: `recognizer`, `version` (or None), `api_url`, `upload_limits`,
    `has_leaderboard`, `error` (or None).
    """
    chosen = get_object_or_404(Recognizer, slug=slug)
    if request.method != "POST":
        return _recognizer_page(request, chosen)
    try:
        data = read_upload(request)
        prediction = services.classify_upload(chosen, data, visitor_id=ensure_visitor_id(request))
    except ApplicationError as error:
        if wants_json(request):
            return error_response(request, error)
        return _recognizer_page(request, chosen, error)
    if not getattr(request, "htmx", False):
        return SeeOther(prediction.get_absolute_url())
    response = render(
        request,
        "recognition/_upload_result.html",
        {"prediction": prediction},
        status=HTTPStatus.CREATED,
    )
    response["Location"] = prediction.get_absolute_url()
    return response


def _recognizer_page(
    request: HttpRequest, chosen: Recognizer, error: ApplicationError | None = None
) -> HttpResponse:
    context = {
        "recognizer": chosen,
        "version": chosen.active_version(),
        "api_url": request.build_absolute_uri(reverse("api:create_prediction", args=[chosen.slug])),
        "upload_limits": _upload_limits(),
        "has_leaderboard": has_leaderboard(chosen),
        "error": error,
    }
    response = render(
        request,
        "recognition/recognizer.html",
        context,
        status=error.status if error else HTTPStatus.OK,
    )
    if error and error.retry_after_s is not None:
        response["Retry-After"] = str(error.retry_after_s)
    return response


def _upload_limits() -> dict[str, Any]:
    """Return what the page's script checks before it sends: the limit and what it then says."""
    return {
        "max_bytes": settings.MAX_UPLOAD_BYTES,
        "max_mib": settings.MAX_UPLOAD_BYTES / 2**20,
        "too_large_message": FileTooLargeError().message,
    }


@only_for_this_browser
@require_http_methods(["GET", "HEAD"])
def prediction(request: HttpRequest, prediction_id: uuid.UUID) -> HttpResponse:
    """Show one prediction from its row alone; whoever has the address may see it.

    Models: `Prediction` with its `ModelVersion` and `Recognizer`.
    Template: `recognition/prediction.html`.
    Context: `prediction`, `recognizer`, `version`, `classes` (the `?top_k=` most probable,
    as label and probability), `n_classes`, `default_top_k`, `other_labels` to correct to,
    `later` (what the version says that was asked last, or None), `is_tiny`, `is_own`,
    `owner_url` and `owner_key` (empty for anybody but the uploader), `verdict` of the reviewers
    (or None), `page_url`, `can_upload`, `upload_limits`.
    """
    shown = _prediction_or_404(prediction_id)
    is_own = ownership.owns(request, shown)
    labels = shown.model_version.labels
    context = {
        "prediction": shown,
        "recognizer": shown.recognizer,
        "version": shown.model_version,
        "classes": shown.top_classes(read_top_k(request.GET)),
        "n_classes": len(labels),
        "default_top_k": DEFAULT_TOP_K,
        "other_labels": [label for label in labels if label != shown.label],
        "later": shown.later_answer(),
        "is_tiny": max(shown.width_px, shown.height_px) < TINY_PX,
        "is_own": is_own,
        "owner_key": ownership.key_of(request),
        "owner_url": (request.build_absolute_uri(ownership.owner_path(shown.pk)) if is_own else ""),
        "verdict": verdict_of(shown),
        "can_upload": shown.recognizer.active_version() is not None,
        "upload_limits": _upload_limits(),
        "page_url": request.build_absolute_uri(shown.get_absolute_url()),
    }
    return render(request, "recognition/prediction.html", context)


def _prediction_or_404(prediction_id: uuid.UUID) -> Prediction:
    rows = Prediction.objects.select_related("recognizer", "model_version")
    found = rows.filter(pk=prediction_id).first()
    if found is None:
        raise erasing.gone(prediction_id) or Http404
    return found


def _own_or_refused(request: HttpRequest, prediction_id: uuid.UUID) -> Prediction:
    shown = _prediction_or_404(prediction_id)
    if not ownership.owns(request, shown):
        raise ownership.not_uploader()
    return shown


@require_http_methods(["GET", "HEAD"])
def picture(request: HttpRequest, prediction_id: uuid.UUID) -> FileResponse:
    """Send the stored picture, which is always a JPEG that Lacewing itself encoded.

    Models: `Prediction`.
    """
    row = get_object_or_404(Prediction.objects.only("picture"), pk=prediction_id)
    try:
        file = row.picture_path.open("rb")
    except FileNotFoundError:
        raise Http404 from None
    return _as_inert_picture(FileResponse(file, content_type="image/jpeg"))


@require_http_methods(["GET", "HEAD"])
def activation(request: HttpRequest, prediction_id: uuid.UUID) -> HttpResponse:
    """Send the activation map as a transparent picture to lay over the stored one.

    Models: `Prediction`.
    """
    rows = Prediction.objects.only("activation_map", "activation_region", "width_px", "height_px")
    row = get_object_or_404(rows, pk=prediction_id)
    if not row.activation_map:
        raise Http404
    scale = min(1.0, OVERLAY_LONG_SIDE_PX / max(row.width_px, row.height_px))
    png = overlay_png(
        row.activation_map,
        tuple(row.activation_region),
        max(1, round(row.width_px * scale)),
        max(1, round(row.height_px * scale)),
    )
    return _as_inert_picture(HttpResponse(png, content_type="image/png"))


def _as_inert_picture(response: PictureResponse) -> PictureResponse:
    """Let a browser keep the picture, and see nothing in it but a picture."""
    response["Cache-Control"] = IMMUTABLE
    response["Content-Security-Policy"] = SANDBOX
    response["X-Content-Type-Options"] = "nosniff"
    return response


@require_POST
def suggestion(request: HttpRequest, prediction_id: uuid.UUID) -> HttpResponse:
    """Keep the posted `label` as what the uploader says the picture shows, or none of them.

    Only who uploaded the picture may: by the browser's cookie or the posted `key`.

    Models: `Prediction`.
    """
    shown = _own_or_refused(request, prediction_id)
    label = request.POST.get("label", "")
    if not label and "none" not in request.POST:
        raise BadRequestError(_("Received no label: choose one."), code="unknown_label")
    try:
        services.suggest_label(shown, label)
    except ValidationError as error:
        raise BadRequestError(" ".join(error.messages), code="unknown_label") from None
    with_key = bool(ownership.key_of(request))
    return SeeOther(ownership.owner_path(shown.pk) if with_key else shown.get_absolute_url())


@require_POST
def deletion(request: HttpRequest, prediction_id: uuid.UUID) -> HttpResponse:
    """Delete a prediction and its picture, on the word of who uploaded it.

    Models: `Prediction`.
    """
    shown = _own_or_refused(request, prediction_id)
    services.delete_prediction(shown, cause=ErasureReceipt.Cause.VISITOR)
    messages.success(
        request,
        format_html(
            '{} <a href="{}">{}</a>',
            _("The picture and its prediction are deleted."),
            shown.get_absolute_url(),
            _("Receipt"),
        ),
    )
    response = SeeOther(reverse("recognition:history"))
    response["Clear-Site-Data"] = '"cache"'  # where this browser keeps the picture, too
    return response


@only_for_this_browser
@require_http_methods(["GET", "HEAD"])
def history(request: HttpRequest) -> HttpResponse:
    """List what this browser uploaded, the latest first.

    Models: `Prediction` with its `Recognizer`.
    Template: `recognition/history.html`.
    Context: `page`, one page of predictions, each with the list `later_answers` (the last one
    first); a page number out of range means the last.
    """
    visitor_id = visitor_id_of(request)
    own = Prediction.objects.of_visitor(visitor_id) if visitor_id else Prediction.objects.none()
    later = Reprediction.objects.filter(is_shadow=False).select_related("model_version")
    # Not joined: SQLite would begin with the recognizers and sort all pictures of the visitor.
    rows = own.prefetch_related(
        "recognizer",
        "model_version",
        Prefetch(
            "repredictions",
            later.defer("probabilities").order_by("-created_at", "-id"),
            to_attr="later_answers",
        ),
    ).defer("activation_map")
    page = Paginator(rows, PICTURES_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "recognition/history.html", {"page": page})
