"""Filters of the list of predictions, built from the few version rows, never from all pictures."""

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from recognition.admin.lists import on_the_way
from recognition.models import ModelVersion, Prediction, Recognizer, Review

NARROW_MARGIN = 0.1
WIDE_MARGIN = 0.5

MARGIN_BANDS: dict[str, Q] = {
    "narrow": Q(met_margin__lt=NARROW_MARGIN),
    "middle": Q(met_margin__gte=NARROW_MARGIN, met_margin__lt=WIDE_MARGIN),
    "wide": Q(met_margin__gte=WIDE_MARGIN),
}


def _versions_in_view(request: HttpRequest) -> "QuerySet[ModelVersion]":
    """Return the versions of the recognizer that the list is narrowed to, or all."""
    recognizer_id = request.GET.get("recognizer__id__exact", "")
    versions = ModelVersion.objects.order_by("recognizer__slug", "-number")
    return versions.filter(recognizer=int(recognizer_id)) if recognizer_id.isdecimal() else versions


class VersionFilter(admin.SimpleListFilter):
    """By model version, newest first; those of the chosen recognizer where one is chosen."""

    title = _("model version")
    parameter_name = "version"

    def lookups(
        self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        """Return (key, "pests v3") of each version."""
        rows = _versions_in_view(request).values_list("pk", "recognizer__slug", "number")
        return [(str(pk), f"{slug} v{number}") for pk, slug, number in rows]

    def queryset(
        self, request: HttpRequest, queryset: "QuerySet[Prediction]"
    ) -> "QuerySet[Prediction]":
        """Keep the predictions of the chosen version."""
        version_id = self.value()
        if version_id is None:
            return queryset
        if not version_id.isdecimal():
            return queryset.none()
        return queryset.filter(model_version=int(version_id))


class LabelFilter(admin.SimpleListFilter):
    """By predicted label, among the labels of the versions in view."""

    title = _("predicted label")
    parameter_name = "label"

    def lookups(
        self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        """Return every label that some version in view knows, in order."""
        known = _versions_in_view(request).values_list("labels", flat=True)
        return [(label, label) for label in sorted({label for labels in known for label in labels})]

    def queryset(
        self, request: HttpRequest, queryset: "QuerySet[Prediction]"
    ) -> "QuerySet[Prediction]":
        """Keep the predictions of the chosen label."""
        label = self.value()
        if label is None:
            return queryset
        is_known = label in {value for value, _text in self.lookup_choices}
        return queryset.filter(label=label) if is_known else queryset.none()


class MarginFilter(admin.SimpleListFilter):
    """By how far the best class leads: the narrow ones are worth a person's time first."""

    title = _("margin")
    parameter_name = "margin_band"

    def lookups(
        self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]"
    ) -> list[tuple[str, Any]]:
        """Return the three bands."""
        return [
            ("narrow", _("under 10 points: unsure")),
            ("middle", _("10 to 50 points")),
            ("wide", _("50 points and more: sure")),
        ]

    def queryset(
        self, request: HttpRequest, queryset: "QuerySet[Prediction]"
    ) -> "QuerySet[Prediction]":
        """Keep the predictions of the chosen band."""
        band = self.value()
        if band is None:
            return queryset
        return on_the_way(queryset, MARGIN_BANDS[band]) if band in MARGIN_BANDS else queryset.none()


class RecognizerFilter(admin.SimpleListFilter):
    """Reviews by the recognizer of their prediction."""

    title = _("recognizer")
    parameter_name = "recognizer"

    def lookups(
        self, request: HttpRequest, model_admin: "admin.ModelAdmin[Any]"
    ) -> list[tuple[str, str]]:
        """Return (slug, name) of each recognizer."""
        return list(Recognizer.objects.values_list("slug", "name"))

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Review]") -> "QuerySet[Review]":
        """Keep the reviews of the chosen one; a join would begin with all its predictions."""
        slug = self.value()
        if slug is None:
            return queryset
        own = Prediction.objects.filter(
            pk=OuterRef("prediction"), recognizer__in=Recognizer.objects.filter(slug=slug)
        )
        return queryset.filter(Exists(own))
