"""The record of activations in the admin: which version served when, and who let it."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from recognition import versions
from recognition.admin import formats
from recognition.admin.base import ReadOnlyAdmin, admin_link
from recognition.models import Activation, Recognizer

RECORDS_SHOWN = 200


class MomentForm(forms.Form):
    """A moment in time, in UTC as everywhere in the admin."""

    at = forms.DateTimeField(
        label=_("Moment (UTC)"),
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local", "step": "1"}),
        input_formats=[
            "%Y-%m-%dT%H:%M",
            "%Y-%m-%dT%H:%M:%S",
            "%Y-%m-%d %H:%M",
            "%Y-%m-%d %H:%M:%S",
        ],
    )


@admin.register(Activation)
class ActivationAdmin(ReadOnlyAdmin):
    """The record, and the question which version served at a moment."""

    list_display = (
        "activated_column",
        "recognizer",
        "version_link",
        "kind",
        "person_column",
        "reason",
    )
    list_display_links = None
    sortable_by = ()
    list_filter = ("recognizer", "kind")
    list_select_related = ("recognizer", "version__recognizer", "person")
    list_per_page = 50
    actions = None

    def get_urls(self) -> list[URLPattern]:
        """Add the record of one recognizer."""
        return [
            path(
                "of/<int:recognizer_id>/",
                self.admin_site.admin_view(self.log_view),
                name="recognition_activation_log",
            ),
            *super().get_urls(),
        ]

    @admin.display(description=_("activated (UTC)"))
    def activated_column(self, activation: Activation) -> str:
        """Return the time in a form that is short and the same in every language."""
        return f"{activation.activated_at:%Y-%m-%d %H:%M:%S}"

    @admin.display(description=_("model version"))
    def version_link(self, activation: Activation) -> SafeString:
        """Return a link to the version."""
        return admin_link(activation.version, f"v{activation.version.number}")

    @admin.display(description=_("person"), empty_value=formats.MISSING)
    def person_column(self, activation: Activation) -> str | None:
        """Return who did it; nobody where the gate or a command did."""
        return str(activation.person) if activation.person else None

    def log_view(self, request: HttpRequest, recognizer_id: int) -> HttpResponse:
        """Show a recognizer's record, and answer which version served at the moment asked for."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        recognizer = get_object_or_404(Recognizer, pk=recognizer_id)
        form = MomentForm(request.GET if "at" in request.GET else None)
        answer = {}
        if form.is_bound and form.is_valid():
            moment = form.cleaned_data["at"]
            answer = {"moment": moment, "version": versions.version_at(recognizer, moment)}
        records: QuerySet[Activation] = recognizer.activations.select_related(
            "version", "previous_version", "person"
        )
        shown = list(records[: RECORDS_SHOWN + 1])
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": _("Activations of %(name)s") % {"name": recognizer.name},
            "content_title": _("Activations of %(name)s") % {"name": recognizer.name},
            "opts": self.opts,
            "media": self.media,
            "recognizer": recognizer,
            "records": shown[:RECORDS_SHOWN],
            "has_more": len(shown) > RECORDS_SHOWN,
            "form": form,
            "answer": answer,
        }
        return TemplateResponse(request, "admin/recognition/activation/log.html", context)
