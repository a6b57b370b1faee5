"""Receipts of deleted uploads in the admin: a record to read, and the offer to train without."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, LogEntry
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from recognition import erasing
from recognition.admin.base import ReadOnlyAdmin, admin_link, signed_in
from recognition.errors import ApplicationError
from recognition.models import ErasureReceipt, ModelVersion


@admin.register(ErasureReceipt)
class ErasureReceiptAdmin(ReadOnlyAdmin):
    """What was deleted, when and why; never what it was."""

    list_display = ("erased_at", "recognizer", "cause", "versions_column", "short_receipt")
    list_filter = ("recognizer", "cause")
    list_select_related = ("recognizer",)
    list_per_page = 50
    show_full_result_count = False
    search_fields = ("receipt__startswith",)
    search_help_text = _("The beginning of a receipt.")
    actions = None
    change_form_template = "admin/recognition/erasurereceipt/change_form.html"
    fields = readonly_fields = ("erased_at", "recognizer", "cause", "receipt", "version_links")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ErasureReceipt]":
        """Fetch the versions along."""
        versions = ModelVersion.objects.select_related("recognizer").order_by("number")
        return super().get_queryset(request).prefetch_related(
            Prefetch("learned_versions", versions)
        )  # fmt: skip

    def get_urls(self) -> list[URLPattern]:
        """Add the address that asks for a training without what was deleted."""
        retrain = self.admin_site.admin_view(self.retrain_view)
        name = "recognition_erasurereceipt_retrain"
        return [path("<int:receipt_id>/retrain/", retrain, name=name), *super().get_urls()]

    @method_decorator(require_POST)
    def retrain_view(self, request: HttpRequest, receipt_id: int) -> HttpResponse:
        """Ask for the training; what is in its way becomes a message."""
        if not may_retrain(request):
            raise PermissionDenied
        receipt = get_object_or_404(
            ErasureReceipt.objects.select_related("recognizer"), pk=receipt_id
        )
        back = reverse("admin:recognition_erasurereceipt_change", args=[receipt.pk])
        try:
            erasing.retrain_without(receipt, signed_in(request))
        except ApplicationError as error:
            messages.error(request, error.message)
        else:
            messages.success(
                request,
                _("A training of %(recognizer)s without it is asked for.")
                % {"recognizer": receipt.recognizer.name},
            )
        return HttpResponseRedirect(back)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add the versions that learned from what was deleted, and the offer."""
        receipt: ErasureReceipt = context["original"]
        versions = receipt.learned_versions.all()
        context["learned"] = [(version, erasing.picture_files(version)) for version in versions]
        context["may_retrain"] = may_retrain(request)
        return super().render_change_form(request, context, *args, **kwargs)

    @admin.display(description=_("versions that learned from it"))
    def versions_column(self, receipt: ErasureReceipt) -> str:
        """Return the versions, as "pests v3"."""
        return ", ".join(str(version) for version in receipt.learned_versions.all()) or "–"

    @admin.display(description=_("versions that learned from it"))
    def version_links(self, receipt: ErasureReceipt) -> SafeString | str:
        """Return links to the versions."""
        links = [(admin_link(v, str(v)),) for v in receipt.learned_versions.all()]
        return format_html_join(", ", "{}", links) or "–"

    @admin.display(description=_("receipt"), ordering="receipt")
    def short_receipt(self, receipt: ErasureReceipt) -> str:
        """Return its beginning."""
        return str(receipt)


def may_retrain(request: HttpRequest) -> bool:
    """Return whether the person may ask for a training."""
    return request.user.has_perm("recognition.retrain_recognizer")


def log_receipts(request: HttpRequest, receipts: Sequence[ErasureReceipt]) -> None:
    """Let the admin's record say who deleted, by the receipts alone."""
    if receipts:
        LogEntry.objects.log_actions(
            signed_in(request).pk, receipts, ADDITION, change_message=gettext("Deleted an upload.")
        )


def offer_retraining(request: HttpRequest, receipts: Sequence[ErasureReceipt]) -> None:
    """Lead to the offer of a training, once for each recognizer that learned from the deleted."""
    learned = ErasureReceipt.objects.filter(
        pk__in=[receipt.pk for receipt in receipts], learned_versions__isnull=False
    )
    by_recognizer = {row.recognizer_id: row for row in learned.select_related("recognizer")}
    for receipt in by_recognizer.values():
        messages.warning(
            request,
            format_html(
                '{} <a class="lacewing-link" href="{}">{}</a>',
                _("Versions of %(recognizer)s had learned from what was deleted.")
                % {"recognizer": receipt.recognizer.name},
                reverse("admin:recognition_erasurereceipt_change", args=[receipt.pk]),
                _("Retrain without it…"),
            ),
        )
