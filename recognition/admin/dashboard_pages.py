"""The dashboard of a recognizer, and its tile on the first page of the admin."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ml.drift import Direction, Share
from recognition.admin import formats
from recognition.admin.base import ModelAdminBase, signed_in
from recognition.admin.charts import bars, trend
from recognition.answers import readable
from recognition.audit import (
    ClassAccuracy,
    VersionAccuracy,
    field_accuracy,
)
from recognition.models import ModelVersion, Prediction, Recognizer
from recognition.overview import Usage, reviewers_this_week, usage
from recognition.queues import COUNTED, QUEUES, waiting
from recognition.templatetags.presentation import percent

TILE_DAYS = 7
HINTED = 99  # cards of a queue: how long it is exactly stands on the page of the queues
DIRECTIONS: dict[Direction, tuple[str, Promise, str]] = {
    "fell": ("↓", _("fell"), "bad"),
    "rose": ("↑", _("rose"), "good"),
    "steady": ("→", _("steady"), ""),
    "unknown": ("", _("too few to tell"), ""),
}
ANSWERS: dict[str, Promise] = {
    **dict(Prediction.Answer.choices),
    "": _("without a promise"),
}


class DashboardPages(ModelAdminBase):
    """Adds the dashboard to the admin of recognizers."""

    def get_urls(self) -> list[URLPattern]:
        """Add the dashboard."""
        return [
            path(
                "<int:recognizer_id>/dashboard/",
                self.admin_site.admin_view(self.dashboard_view),
                name="recognition_recognizer_dashboard",
            ),
            *super().get_urls(),
        ]

    def dashboard_view(self, request: HttpRequest, recognizer_id: int) -> HttpResponse:
        """Show uploads, queues and accuracy in the field, of all versions or `?version=N`.

        Models: `Recognizer`, `ModelVersion`, `Prediction`, `Reprediction`, `Review`,
        `Activation`.
        Template: `admin/recognition/dashboard/dashboard.html`.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        recognizer = get_object_or_404(Recognizer, pk=recognizer_id)
        versions = list(recognizer.versions.order_by("-number"))
        chosen = _chosen_version(request, versions)
        active = next((version for version in versions if version.is_active), None)
        field = field_accuracy(recognizer, version=chosen)
        activations = recognizer.activations.select_related("version").order_by("activated_at")
        used = usage(recognizer)
        person = signed_in(request)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Dashboard"),
            "content_title": recognizer.name,
            "content_subtitle": _("Dashboard"),
            "opts": self.opts,
            "original": recognizer,
            "media": self.media,
            "recognizer": recognizer,
            "versions": versions,
            "chosen": chosen,
            "active": active,
            "field": field,
            "total": _share(field.total),
            "recent": _share(field.change.recent),
            "before": _share(field.change.before),
            "direction": DIRECTIONS[field.change.direction],
            "trend": trend(field, activations, _test_accuracy(chosen or active)),
            "test_accuracy": formats.accuracy(active.metrics if active else {}),
            "active_accuracy": formats.percent_or_dash(_test_accuracy(active)),
            "week_rows": [(week, _share(week.share)) for week in reversed(field.weeks)],
            "class_rows": [_class_row(one) for one in field.classes],
            "version_rows": [_version_row(one) for one in field.versions],
            "usage": used,
            "reviewed_share": formats.percent_or_dash(used.reviewed_share),
            "bars": bars(used.days),
            "busiest": max(day.uploads for day in used.days),
            "answer_rows": _answer_rows(used),
            "queues": [
                (queue, _capped(waiting(queue, recognizer, person, most=HINTED), HINTED))
                for queue in QUEUES.values()
            ],
            "reviewers": reviewers_this_week(recognizer),
        }
        return TemplateResponse(request, "admin/recognition/dashboard/dashboard.html", context)


def tiles(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add a tile for each recognizer to the first page of the admin, for those who may look."""
    if request.user.has_perm("recognition.view_recognizer"):
        context["tiles"] = [_tile(recognizer) for recognizer in Recognizer.objects.all()]
    return context


def _tile(recognizer: Recognizer) -> dict[str, Any]:
    field = field_accuracy(recognizer)
    used = usage(recognizer, days=TILE_DAYS)
    open_rows = Prediction.objects.filter(recognizer=recognizer, is_open=True)
    return {
        "recognizer": recognizer,
        "active": recognizer.active_version(),
        "uploads": used.uploads,
        "waiting": _capped(open_rows.order_by()[: COUNTED + 1].count()),
        "recent": _share(field.change.recent),
        "direction": DIRECTIONS[field.change.direction],
        "is_alarming": field.is_alarming,
    }


def _chosen_version(request: HttpRequest, versions: list[ModelVersion]) -> ModelVersion | None:
    number = request.GET.get("version", "")
    if not number:
        return None
    chosen = [version for version in versions if str(version.number) == number]
    if not chosen:
        raise Http404
    return chosen[0]


def _share(share: Share) -> dict[str, Any]:
    """Return a share as people read it."""
    if share.accuracy is None:
        return {"n": 0, "accuracy": formats.MISSING, "interval": formats.MISSING}
    low, high = share.interval
    return {
        "n": share.n,
        "accuracy": percent(share.accuracy),
        "interval": f"{percent(low)}–{percent(high)}",
    }


def _class_row(one: ClassAccuracy) -> dict[str, Any]:
    return {
        "label": readable(one.label) if one.label else _("none of the classes"),
        "share": _share(one.share),
        "direction": DIRECTIONS[one.change.direction],
    }


def _version_row(one: VersionAccuracy) -> dict[str, Any]:
    return {
        "version": one.version,
        "share": _share(one.share),
        "known": _share(one.known),
        "test": formats.accuracy(one.version.metrics),
        "is_below_test": one.is_below_test,
    }


def _answer_rows(used: Usage) -> list[tuple[Promise, int, float]]:
    """Return (name, count, share) of each kind of answer."""
    total = used.uploads
    return [
        (name, used.answers[key], used.answers[key] / total)
        for key, name in ANSWERS.items()
        if used.answers[key]
    ]


def _test_accuracy(version: ModelVersion | None) -> float | None:
    accuracy: float | None = version.metrics.get("accuracy") if version else None
    return accuracy


def _capped(count: int, most: int = COUNTED) -> tuple[int, bool]:
    """Return a count as far as it was counted, and whether there are more."""
    return min(count, most), count > most
