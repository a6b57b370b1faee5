"""The page to review by the dozen: every open picture that was given one label."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from recognition import hands
from recognition.admin.review_pages import ReviewPages, posted_label, uuid_or_none
from recognition.labels import pickable_labels, waiting_labels
from recognition.models import Prediction, Recognizer, ReviewLease
from recognition.queues import COUNTED, Predictions
from recognition.templatetags.presentation import capped

PICTURES_A_PAGE: Final = 48
SHOWN_COLUMNS: Final = (
    "label",
    "probability",
    "state",
    "suggested_label",
    "suggested_at",
    "created_at",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a page of the grid begins: after this picture, in the order of the grid."""

    created_at: datetime
    prediction_id: uuid.UUID

    def __str__(self) -> str:
        return f"{self.created_at.isoformat()}_{self.prediction_id}"


class GridPages(ReviewPages):
    """The grid, beside the pages of single cards."""

    def get_urls(self) -> list[URLPattern]:
        """Add the grid."""
        view = self.admin_site.admin_view(self.grid_view)
        return [path("queues/grid/", view, name="recognition_prediction_grid"), *super().get_urls()]

    def grid_view(self, request: HttpRequest) -> HttpResponse:
        """Show a page of pictures of one label; a POST reviews those that are ticked."""
        reviewer = self.reviewer(request)
        recognizer = get_object_or_404(Recognizer, slug=request.GET.get("recognizer", ""))
        if request.method == "POST":
            self._review(request, recognizer)
            return HttpResponseRedirect(request.get_full_path(), status=HTTPStatus.SEE_OTHER)
        labels = waiting_labels(recognizer)
        label = request.GET.get("label") or (labels[0] if labels else "")
        waiting = Prediction.objects.filter(recognizer=recognizer, is_open=True, label=label)
        rows = _after(_read_place(request.GET.get("after", "")), waiting)
        of_others = ReviewLease.objects.filter(
            prediction=OuterRef("pk"), expires_at__gt=timezone.now()
        ).exclude(reviewer_id=reviewer.pk)
        page = list(rows.filter(~Exists(of_others)).only(*SHOWN_COLUMNS)[: PICTURES_A_PAGE + 1])
        shown = page[:PICTURES_A_PAGE]
        held = hands.hold_page([row.pk for row in shown], reviewer)
        has_more = len(page) > PICTURES_A_PAGE
        context = {
            **self.admin_site.each_context(request),
            "title": _("Review many"),
            "subtitle": recognizer.name,
            "opts": self.opts,
            "recognizer": recognizer,
            "labels": labels,
            "label": label,
            "pictures": [row for row in shown if row.pk in held],
            "waiting": capped(waiting.order_by()[: COUNTED + 1].count()),
            "all_labels": pickable_labels(recognizer),
            "is_all_ticked": "all" in request.GET,
            "all_url": _grid_url(recognizer, label, after=request.GET.get("after", ""), all="1"),
            "next_url": _grid_url(recognizer, label, after=_place(shown[-1])) if has_more else "",
            "first_url": _grid_url(recognizer, label) if "after" in request.GET else "",
        }
        return TemplateResponse(request, "admin/recognition/review/grid.html", context)

    def _review(self, request: HttpRequest, recognizer: Recognizer) -> None:
        ids = [pk for pk in map(uuid_or_none, request.POST.getlist("picture")) if pk]
        if not ids:
            messages.error(request, _("Received no picture: tick those you mean."))
            return
        try:
            label = None if "confirm" in request.POST else posted_label(request.POST, recognizer)
            written = hands.decide_page(ids, label, recognizer, self.reviewer(request))
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
            return
        text = ngettext("%(count)d review written.", "%(count)d reviews written.", written)
        messages.success(request, text % {"count": written})
        if left := len(set(ids)) - written:
            text = _("Left alone, for another reviewer has them or has settled them: %(count)d.")
            messages.warning(request, text % {"count": left})


def _after(place: Place | None, rows: Predictions) -> Predictions:
    """Return the rows that follow the place, in the order of the grid: the newest first."""
    if place is not None:
        rows = rows.filter(
            Q(created_at__lt=place.created_at) | Q(pk__lt=place.prediction_id),
            created_at__lte=place.created_at,  # apart from the rest: an index can begin here
        )
    return rows.order_by("-created_at", "-pk")


def _place(row: Prediction) -> str:
    return str(Place(created_at=row.created_at, prediction_id=row.pk))


def _read_place(text: str) -> Place | None:
    """Return the place that an address names; None for none, or for nonsense."""
    time, _separator, identifier = text.partition("_")
    prediction_id = uuid_or_none(identifier)
    try:
        created_at = parse_datetime(time)
    except ValueError:
        return None
    if created_at is None or created_at.tzinfo is None or prediction_id is None:
        return None
    return Place(created_at=created_at, prediction_id=prediction_id)


def _grid_url(recognizer: Recognizer, label: str, **more: str) -> str:
    query = {"recognizer": recognizer.slug, "label": label} | {k: v for k, v in more.items() if v}
    return f"{reverse('admin:recognition_prediction_grid')}?{urlencode(query)}"
