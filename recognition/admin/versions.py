"""Model versions in the admin: what each can do, and which one serves."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ml.errors import LacewingError
from recognition import gating, repredicting, services
from recognition.admin import formats
from recognition.admin.base import admin_link, signed_in
from recognition.admin.folders import FIGURES, read_folder, read_page
from recognition.admin.forms import ActivationForm, ForceForm
from recognition.admin.version_pages import back_to
from recognition.admin.versions_challenger import ChallengerPages
from recognition.admin.versions_files import FilePages, downloads_of
from recognition.admin.versions_gate import GatePages
from recognition.admin.versions_overview import OverviewPages, state_of
from recognition.leaderboards import read_leaderboard
from recognition.models import ModelVersion

PAGE_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"


@admin.register(ModelVersion)
class ModelVersionAdmin(GatePages, OverviewPages, ChallengerPages, FilePages):
    """The versions of every recognizer, one page each to compare and activate."""

    list_display = (
        "recognizer",
        "number_column",
        "state",
        "architecture",
        "accuracy",
        "calibration_error",
        "test_pictures",
        "created_column",
    )
    list_display_links = ("recognizer", "number_column")
    sortable_by = ()
    list_filter = ("recognizer", "is_active", "is_proposed", "is_challenger", "architecture")
    list_select_related = ("recognizer",)
    list_per_page = 50
    actions = None
    change_form_template = "admin/recognition/modelversion/change_form.html"
    fields = (
        ("recognizer_link", "architecture"),
        ("is_active", "is_challenger", "is_proposed"),
        ("activated_at", "created_at"),
        "activation_note",
        ("is_shipped", "directory"),
        "metadata_sha256",
    )
    readonly_fields = ("recognizer_link",)

    # Columns

    @admin.display(description=_("version"))
    def number_column(self, version: ModelVersion) -> str:
        """Return the number, as "v3"."""
        return f"v{version.number}"

    @admin.display(description=_("state"))
    def state(self, version: ModelVersion) -> SafeString:
        """Return what it does; a proposal leads to where it is decided on."""
        text, tone = state_of(version)
        if version.is_proposed:
            url = reverse("admin:recognition_modelversion_gate", args=[version.pk])
            text = format_html('<a href="{}">{}</a>', url, _("proposed: decide"))
        return format_html(
            '<span class="lacewing-badge{}">{}</span>',
            f" lacewing-badge--{tone}" * bool(tone),
            text,
        )

    @admin.display(description=_("recognizer"))
    def recognizer_link(self, version: ModelVersion) -> SafeString:
        """Return a link to the recognizer."""
        return admin_link(version.recognizer, version.recognizer.name)

    @admin.display(description=_("test accuracy"))
    def accuracy(self, version: ModelVersion) -> str:
        """Return the accuracy on the test pictures with its interval."""
        return formats.accuracy(version.metrics)

    @admin.display(description=_("calibration error"))
    def calibration_error(self, version: ModelVersion) -> str:
        """Return by how much probabilities and accuracy differ on average (ECE)."""
        return formats.percent_or_dash(version.metrics.get("ece"))

    @admin.display(description=_("test pictures"), empty_value=formats.MISSING)
    def test_pictures(self, version: ModelVersion) -> int | None:
        """Return on how many pictures it was measured."""
        count: int | None = version.metrics.get("n")
        return count

    @admin.display(description=_("created (UTC)"))
    def created_column(self, version: ModelVersion) -> str:
        """Return the time in a form that is short and the same in every language."""
        return f"{version.created_at:%Y-%m-%d %H:%M}"

    # Pages

    def get_urls(self) -> list[URLPattern]:
        """Add the figures, the activation and the rollback."""
        site, name = self.admin_site, "recognition_modelversion"
        return [
            path(
                "<int:version_id>/figures/<str:figure>.png",
                site.admin_view(self.figure_view, cacheable=True),
                name=f"{name}_figure",
            ),
            path(
                "<int:version_id>/pages/<str:page>.html",
                site.admin_view(self.page_view, cacheable=True),
                name=f"{name}_page",
            ),
            path(
                "<int:version_id>/activate/",
                site.admin_view(self.activate_view),
                name=f"{name}_activate",
            ),
            path(
                "<int:version_id>/rollback/",
                site.admin_view(self.rollback_view),
                name=f"{name}_rollback",
            ),
            *super().get_urls(),
        ]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add what was measured and what the folder holds."""
        version: ModelVersion = context["original"]
        run = version.reprediction_runs.first()
        context |= {
            "columns": [version],
            "metric_rows": formats.metric_rows([version]),
            "class_rows": formats.class_rows(version.metrics),
            "folder": read_folder(version),
            "downloads": downloads_of(version),
            "leaderboard_url": _leaderboard_url(version),
            "earlier": services.rollback_target(version) if version.is_active else None,
            "may_activate": self.has_activate_permission(request),
            "run": run,
            "run_is_stalled": run is not None and repredicting.is_stalled(run),
        }
        return super().render_change_form(request, context, *args, **kwargs)

    def figure_view(self, request: HttpRequest, version_id: int, figure: str) -> HttpResponse:
        """Send one figure of the version's folder; only the names in `FIGURES` exist."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        version = get_object_or_404(ModelVersion, pk=version_id)
        if figure not in FIGURES:
            raise Http404
        try:
            content = (version.path / f"{figure}.png").read_bytes()
        except OSError as error:
            raise Http404 from error
        headers = {
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "Cache-Control": "private, max-age=3600",
        }
        return HttpResponse(content, content_type="image/png", headers=headers)

    def page_view(self, request: HttpRequest, version_id: int, page: str) -> HttpResponse:
        """Send the report or the health page; only the names in `PAGES` exist.

        The folder may come from elsewhere, so the page may neither run scripts, nor fetch or
        send anything, nor act as one of this site's.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        version = get_object_or_404(ModelVersion, pk=version_id)
        content = read_page(version, page)
        if content is None:
            raise Http404
        headers = {
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": PAGE_POLICY,
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "private, max-age=3600",
        }
        return HttpResponse(content, content_type="text/html; charset=utf-8", headers=headers)

    def activate_view(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """Ask, then let this version serve."""
        version = self.version_to_switch(request, version_id)
        if version.is_active:
            messages.info(request, _("%(version)s serves already.") % {"version": version})
            return back_to(version)
        kind = ForceForm if gating.needs_force(version) else ActivationForm
        form = kind(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            return self._confirm(request, version, version.recognizer.active_version(), form)
        try:
            gating.activate_by_person(version, signed_in(request), form.cleaned_data["note"])
        except LacewingError as error:
            messages.error(request, error.message)
        else:
            self._tell(request, version)
        return back_to(version)

    def rollback_view(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """Ask, then let the version that served before this one serve again."""
        version = self.version_to_switch(request, version_id)
        earlier = services.rollback_target(version)
        if not version.is_active or earlier is None:
            messages.error(request, _("Nothing to roll back to: no earlier version served."))
            return back_to(version)
        if request.method != "POST":
            return self._confirm(request, earlier, version, None)
        try:
            serving = services.rollback(version.recognizer, signed_in(request))
        except LacewingError as error:
            messages.error(request, error.message)
            return back_to(version)
        self._tell(request, serving)
        return back_to(serving)

    def _tell(self, request: HttpRequest, version: ModelVersion) -> None:
        self.log_change(request, version, "Activated.")
        messages.success(
            request,
            _("%(version)s is active; every server process takes it within seconds.")
            % {"version": version},
        )

    def _confirm(
        self,
        request: HttpRequest,
        candidate: ModelVersion,
        incumbent: ModelVersion | None,
        form: ActivationForm | None,
    ) -> HttpResponse:
        columns = [version for version in (incumbent, candidate) if version is not None]
        return self.render(
            request,
            "confirm_activation",
            _("Activate %(version)s") % {"version": candidate},
            form=form,
            candidate=candidate,
            incumbent=incumbent,
            columns=columns,
            metric_rows=formats.metric_rows(columns),
            decided=gating.Decision.of(candidate) if isinstance(form, ForceForm) else None,
        )


def _leaderboard_url(version: ModelVersion) -> str | None:
    if read_leaderboard(version) is None:
        return None
    url = reverse("recognition:leaderboard", args=[version.recognizer.slug])
    return f"{url}?version={version.number}"
