"""All versions of a recognizer on one page, and any two of them side by side."""

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from recognition import services
from recognition.admin import formats
from recognition.admin.folders import read_folder
from recognition.admin.version_chart import accuracy_chart
from recognition.admin.version_pages import VersionPages
from recognition.admin.versions_gate import HEADLINES, incumbent_of
from recognition.models import ModelVersion
from recognition.templatetags.presentation import percent

VERSIONS_A_PAGE = 50


class OverviewPages(VersionPages):
    """The versions of a recognizer over time, and the comparison of two."""

    def get_urls(self) -> list[URLPattern]:
        """Add both pages."""
        return [
            self.route("of/<int:recognizer_id>/", self.overview_view, "overview"),
            self.route("of/<int:recognizer_id>/compare/", self.choose_view, "choose"),
            self.route(
                "compare/<int:first_id>/<int:second_id>/", self.comparison_view, "comparison"
            ),
            *super().get_urls(),
        ]

    def overview_view(self, request: HttpRequest, recognizer_id: int) -> HttpResponse:
        """Show every version with its state and figures, newest first, and accuracy over time."""
        recognizer = self.recognizer_to_see(request, recognizer_id)
        rows = self.get_queryset(request).filter(recognizer=recognizer).order_by("-number")
        page = Paginator(rows.defer("labels"), VERSIONS_A_PAGE).get_page(request.GET.get("page"))
        active = recognizer.active_version()
        return self.render(
            request,
            "overview",
            _("Versions of %(name)s") % {"name": recognizer.name},
            recognizer=recognizer,
            page=page,
            rows=[
                {
                    "version": version,
                    "state": state_of(version),
                    "verdict": _verdict(version),
                    "accuracy": formats.accuracy(version.metrics),
                    "ece": formats.percent_or_dash(version.metrics.get("ece")),
                }
                for version in page
            ],
            chart=accuracy_chart(list(page)),
            active=active,
            earlier=services.rollback_target(active) if active else None,
            proposed=recognizer.versions.filter(is_proposed=True).first(),
            challenger=recognizer.challenger(),
        )

    def choose_view(self, request: HttpRequest, recognizer_id: int) -> HttpResponse:
        """Go to the comparison of the two versions that were ticked."""
        recognizer = self.recognizer_to_see(request, recognizer_id)
        chosen = [text for text in request.GET.getlist("version") if text.isdecimal()]
        if len(set(chosen)) != 2:
            messages.error(
                request, _("Received %(n)d versions: tick two to compare.") % {"n": len(chosen)}
            )
            url = reverse("admin:recognition_modelversion_overview", args=[recognizer.pk])
            return HttpResponseRedirect(url)
        url = reverse("admin:recognition_modelversion_comparison", args=sorted(map(int, chosen)))
        return HttpResponseRedirect(url)

    def comparison_view(self, request: HttpRequest, first_id: int, second_id: int) -> HttpResponse:
        """Show the figures of two versions of one recognizer side by side."""
        first = self.version_to_see(request, first_id)
        second = get_object_or_404(
            self.get_queryset(request), pk=second_id, recognizer=first.recognizer_id
        )
        if first.pk == second.pk:
            raise Http404
        old, new = sorted((first, second), key=lambda version: version.number)
        columns = [old, new]
        incumbent = incumbent_of(new)
        return self.render(
            request,
            "comparison",
            _("%(old)s beside v%(number)d") % {"old": old, "number": new.number},
            recognizer=first.recognizer,
            columns=columns,
            metric_rows=formats.metric_rows(columns),
            class_rows=_class_rows(old, new),
            folders=[(version, read_folder(version)) for version in columns],
            has_gate=incumbent is not None and incumbent.pk == old.pk,
            new=new,
        )


def state_of(version: ModelVersion) -> tuple[str | Promise, str]:
    """Return what a version does, and the tone in which that is shown."""
    if version.is_active:
        return _("active"), "good"
    if version.is_proposed:
        return _("proposed"), "accent"
    if version.is_challenger:
        return _("challenger"), "accent"
    if version.activated_at:
        return _("was active"), ""
    return _("kept"), ""


def _verdict(version: ModelVersion) -> str | Promise:
    verdict = version.gate.get("verdict")
    return HEADLINES.get(verdict, formats.MISSING) if verdict else formats.MISSING


def _class_rows(old: ModelVersion, new: ModelVersion) -> list[dict[str, Any]]:
    """Return each class that one of them knows, with what both find of it, most changed first."""
    scores = [
        {score["label"]: score for score in version.metrics.get("per_class", ())}
        for version in (old, new)
    ]
    rows = []
    for label in sorted({*scores[0], *scores[1]}):
        found = [by_label.get(label) for by_label in scores]
        recalls = [score["recall"] if score else None for score in found]
        change = (recalls[1] or 0.0) - (recalls[0] or 0.0)
        rows.append(
            {
                "label": label,
                "recalls": [formats.percent_or_dash(recall) for recall in recalls],
                "precisions": [
                    formats.percent_or_dash(score["precision"] if score else None)
                    for score in found
                ],
                "change": change,
                "change_text": formats.MISSING
                if None in recalls
                else f"{'+' if change > 0 else ''}{percent(change)}",
            }
        )
    return sorted(rows, key=lambda row: (row["change"], row["label"]))
