"""Trainings in the admin: how far each has come, live, and its end."""

from collections.abc import Mapping
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from recognition import training_runs
from recognition.admin import formats
from recognition.admin.base import ReadOnlyAdmin, admin_link
from recognition.admin.curves import curves, rows_of_last_candidate
from recognition.models import TrainingRun

State = TrainingRun.State

STAGES: dict[str, str | Promise] = {
    "": _("waiting for the worker"),
    "collecting": _("collecting the reviewed pictures"),
    "reading": _("reading the pictures"),
    "decoding": _("decoding the pictures"),
    "training": _("training"),
    "exporting": _("making it ready to serve"),
    "scoring": _("scoring it on the test pictures, beside the active version"),
    "writing": _("writing the report"),
    "registering": _("taking it in"),
}
BEGINS_AT = {  # share of the whole at which a stage begins; the longest one is the training
    "collecting": 0.01,
    "reading": 0.02,
    "decoding": 0.05,
    "training": 0.1,
    "exporting": 0.9,
    "scoring": 0.94,
    "writing": 0.97,
    "registering": 0.99,
}
BADGES = {
    State.QUEUED: "",
    State.RUNNING: "accent",
    State.DONE: "good",
    State.FAILED: "bad",
    State.CANCELLED: "warn",
}


@admin.register(TrainingRun)
class TrainingRunAdmin(ReadOnlyAdmin):
    """The list of trainings, and a page for each that shows it while it runs."""

    list_display = (
        "created_column",
        "recognizer",
        "state_column",
        "cause",
        "person",
        "duration_column",
        "version_column",
    )
    list_display_links = ("created_column",)
    list_filter = ("recognizer", "state", "cause")
    list_select_related = ("recognizer", "person", "version__recognizer")
    list_per_page = 50
    show_full_result_count = False
    sortable_by = ()
    actions = None

    def get_queryset(self, request: HttpRequest) -> "QuerySet[TrainingRun]":
        """Leave the wide columns to the page of one training."""
        rows: QuerySet[TrainingRun] = super().get_queryset(request)
        return rows.defer("history", "log_tail", "version__metrics", "version__labels")

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Allow those who may train to see what they began."""
        return super().has_view_permission(request, obj) or self.has_retrain_permission(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the list to those who may see it."""
        return super().has_module_permission(request) or self.has_retrain_permission(request)

    def has_retrain_permission(self, request: HttpRequest) -> bool:
        """Allow beginning and cancelling trainings to those who hold the right."""
        return request.user.has_perm("recognition.retrain_recognizer")

    # Columns

    @admin.display(description=_("asked at (UTC)"), ordering="created_at")
    def created_column(self, run: TrainingRun) -> str:
        """Return the time in a form that is short and the same in every language."""
        return f"{run.created_at:%Y-%m-%d %H:%M}"

    @admin.display(description=_("state"))
    def state_column(self, run: TrainingRun) -> SafeString:
        """Return the state as a badge."""
        return format_html(
            '<span class="lacewing-badge lacewing-badge--{}">{}</span>',
            BADGES[State(run.state)],
            run.get_state_display(),
        )

    @admin.display(description=_("duration"), empty_value=formats.MISSING)
    def duration_column(self, run: TrainingRun) -> str | None:
        """Return how long it has taken, so far or in all."""
        return duration(run)

    @admin.display(description=_("model version"), empty_value=formats.MISSING)
    def version_column(self, run: TrainingRun) -> SafeString | None:
        """Return a link to the version it made."""
        return None if run.version is None else admin_link(run.version, f"v{run.version.number}")

    # Pages

    def get_urls(self) -> list[URLPattern]:
        """Add the part of the page that is fetched again and again, and the cancelling."""
        site, name = self.admin_site, "recognition_trainingrun"
        return [
            path("<uuid:run_id>/live/", site.admin_view(self.live_view), name=f"{name}_live"),
            path("<uuid:run_id>/cancel/", site.admin_view(self.cancel_view), name=f"{name}_cancel"),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one training."""
        run = self._run(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Training of %(name)s") % {"name": run.recognizer.name},
            "content_title": _("Training of %(name)s") % {"name": run.recognizer.name},
            "content_subtitle": f"{run.created_at:%Y-%m-%d %H:%M} UTC",
            "opts": self.opts,
            "media": self.media,
            "original": run,
            "may_retrain": self.has_retrain_permission(request),
            **live_context(run),
        }
        return TemplateResponse(request, "admin/recognition/trainingrun/run.html", context)

    def live_view(self, request: HttpRequest, run_id: Any) -> HttpResponse:
        """Send the part of the page that changes."""
        run = self._run(request, str(run_id))
        response = TemplateResponse(
            request, "admin/recognition/trainingrun/live.html", live_context(run)
        )
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Training-State"] = run.state
        return response

    @method_decorator(require_POST)
    def cancel_view(self, request: HttpRequest, run_id: Any) -> HttpResponse:
        """Ask for the end of a training."""
        if not self.has_retrain_permission(request):
            raise PermissionDenied
        run = self._run(request, str(run_id))
        training_runs.request_cancel(run)
        self.log_change(request, run, "Cancelled.")
        messages.info(request, _("The training ends within seconds; nothing of it is kept."))
        return HttpResponseRedirect(reverse("admin:recognition_trainingrun_change", args=[run.pk]))

    def _run(self, request: HttpRequest, run_id: str) -> TrainingRun:
        if not self.has_view_permission(request):
            raise PermissionDenied
        run: TrainingRun | None = self.get_object(request, run_id)
        if run is None:
            raise Http404
        return run


def live_context(run: TrainingRun) -> dict[str, Any]:
    """Return what the page says of a training now."""
    rows = list(rows_of_last_candidate(run.history))
    return {
        "run": run,
        "badge": BADGES[State(run.state)],
        "stage": STAGES.get(run.stage, run.stage),
        "progress_percent": round(100 * progress(run)),
        "duration": duration(run),
        "epochs_done": len(rows),
        "rows": [epoch_cells(row) for row in reversed(rows)],
        "accuracy": formats.percent_or_dash(rows[-1]["val_accuracy"]) if rows else "",
        "curves": curves(run.history, run.epochs) if run.history else [],
        "left": time_left(run),
    }


def epoch_cells(row: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Return the name of an epoch and its figures, as the table writes them."""
    losses = (row["loss"], row["val_loss"])
    loss, val_loss = (formats.MISSING if value is None else f"{value:.3f}" for value in losses)
    return f"{row['phase']} {row['epoch']}", [
        loss,
        formats.percent_or_dash(row["accuracy"]),
        val_loss,
        formats.percent_or_dash(row["val_accuracy"]),
        f"{row['seconds']:.1f}",
    ]


def progress(run: TrainingRun) -> float:
    """Return about how much of a training is done, in [0, 1]."""
    if run.state == State.DONE:
        return 1.0
    begins_at = BEGINS_AT.get(run.stage, 0.0)
    if run.stage == "training" and run.epochs:
        share = min(1.0, len(rows_of_last_candidate(run.history)) / run.epochs)
        return begins_at + share * (BEGINS_AT["exporting"] - begins_at)
    return begins_at


def duration(run: TrainingRun) -> str | None:
    """Return how long a training took or has taken, as "1:02:03"; None before its start."""
    if run.started_at is None:
        return None
    seconds = int(((run.ended_at or timezone.now()) - run.started_at).total_seconds())
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def time_left(run: TrainingRun) -> str | None:
    """Return about how long the epochs that are left will take; None where that is unknown."""
    rows = rows_of_last_candidate(run.history)
    if run.state != State.RUNNING or run.stage != "training" or not rows or not run.epochs:
        return None
    phase = [row for row in rows if row.get("phase") == rows[-1].get("phase")]
    seconds = float(phase[-1].get("seconds") or 0) * max(0, run.epochs - len(rows))
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
