"""Recognizers in the admin: their words are edited here, their versions only chosen."""

from collections.abc import Sequence

from django.contrib import admin
from django.db.models import Exists, Model, OuterRef, Prefetch, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from recognition.admin import formats
from recognition.admin.base import admin_link
from recognition.admin.dashboard_pages import DashboardPages
from recognition.admin.lists import COUNTED, count_up_to
from recognition.admin.retraining import RetrainMixin
from recognition.models import ModelVersion, Prediction, Recognizer, Review

FACTS = (
    "dashboard_link",
    "review_link",
    "active_version",
    "versions_link",
    "predictions_link",
    "reviewed_since",
    "retrain_link",
)
CHOICES = (
    "promotion",
    "schedule",
    "schedule_hour",
    "schedule_reviews",
    "audit_share",
    "retention_days",
)
TRAINING = ("data_sources", "training_options")


@admin.register(Recognizer)
class RecognizerAdmin(RetrainMixin, DashboardPages):
    """What people see and use, with the way to its versions and predictions."""

    list_display = (
        "name",
        "slug",
        "active_version",
        "accuracy",
        "prediction_count",
        "dashboard_link",
    )
    search_fields = ("name", "slug")
    actions = None

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Recognizer]":
        """Fetch the active versions along."""
        active = ModelVersion.objects.filter(is_active=True).defer("labels")
        rows: QuerySet[Recognizer] = super().get_queryset(request)
        return rows.prefetch_related(Prefetch("versions", active, to_attr="active_versions"))

    # Fields and rights

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        """Show what it was trained on to editors alone: it names folders of the server."""
        words = ("name", "slug", "description")
        if obj is None:
            return words
        training = TRAINING if self.has_change_permission(request, obj) else ()
        return (*words, *FACTS, *CHOICES, *training, "created_at")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> tuple[str, ...]:
        """Fix the slug once it is created: addresses and folders carry it."""
        return () if obj is None else ("slug", *FACTS, *TRAINING, "created_at")

    def get_prepopulated_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> dict[str, Sequence[str]]:
        """Derive the slug from the name while both are new."""
        return {"slug": ("name",)} if obj is None else {}

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: versions, predictions and folders lean on it."""
        return False

    # Columns

    @admin.display(description=_("active version"), empty_value=formats.MISSING)
    def active_version(self, recognizer: Recognizer) -> SafeString | None:
        """Return a link to the version that serves."""
        version = _active(recognizer)
        return None if version is None else admin_link(version, f"v{version.number}")

    @admin.display(description=_("test accuracy"), empty_value=formats.MISSING)
    def accuracy(self, recognizer: Recognizer) -> str | None:
        """Return the accuracy of the version that serves."""
        version = _active(recognizer)
        return None if version is None else formats.accuracy(version.metrics)

    @admin.display(description=_("predictions"))
    def prediction_count(self, recognizer: Recognizer) -> str:
        """Return how many predictions it made, "1,000+" where they are more."""
        return _counted(Prediction.objects.filter(recognizer=recognizer))

    @admin.display(description=_("dashboard"))
    def dashboard_link(self, recognizer: Recognizer) -> SafeString:
        """Return a link to its dashboard."""
        url = reverse("admin:recognition_recognizer_dashboard", args=[recognizer.pk])
        return format_html('<a href="{}">{}</a>', url, _("How it does"))

    @admin.display(description=_("review"))
    def review_link(self, recognizer: Recognizer) -> SafeString:
        """Return a link to the queues of its pictures."""
        url = reverse("admin:recognition_prediction_queues")
        return format_html(
            '<a class="lacewing-link" href="{}?recognizer={}">{}</a>',
            url,
            recognizer.slug,
            _("What waits for a review"),
        )

    @admin.display(description=_("model versions"))
    def versions_link(self, recognizer: Recognizer) -> SafeString:
        """Return a link to all its versions, and to one that waits for a decision."""
        url = reverse("admin:recognition_modelversion_overview", args=[recognizer.pk])
        link = format_html(
            '<a class="lacewing-link" href="{}">{}</a>', url, recognizer.versions.count()
        )
        proposed = recognizer.versions.filter(is_proposed=True).first()
        if proposed is None:
            return link
        gate = reverse("admin:recognition_modelversion_gate", args=[proposed.pk])
        text = _("v%(number)d is proposed: decide") % {"number": proposed.number}
        return format_html('{} · <a class="lacewing-link" href="{}">{}</a>', link, gate, text)

    @admin.display(description=_("predictions"))
    def predictions_link(self, recognizer: Recognizer) -> SafeString:
        """Return a link to the list of its predictions."""
        return _list_link("prediction", recognizer, self.prediction_count(recognizer))

    @admin.display(description=_("reviewed since the active version"))
    def reviewed_since(self, recognizer: Recognizer) -> str:
        """Return how many predictions were reviewed that the active version cannot know."""
        reviewed = Prediction.objects.filter(pk=OuterRef("prediction"), recognizer=recognizer)
        reviews = Review.objects.filter(Exists(reviewed))
        version = _active(recognizer)
        if version is not None:
            reviews = reviews.filter(created_at__gt=version.created_at)
        latest = reviews.order_by("-created_at", "-id").values_list("prediction", flat=True)
        pictures = len(set(latest[: COUNTED + 1]))
        return _at_most(pictures)


def _counted(rows: "QuerySet[Prediction]") -> str:
    return _at_most(count_up_to(rows, COUNTED + 1))


def _at_most(count: int) -> str:
    return f"{number_format(COUNTED)}+" if count > COUNTED else number_format(count)


def _active(recognizer: Recognizer) -> ModelVersion | None:
    versions: list[ModelVersion] = recognizer.active_versions  # type: ignore[attr-defined]
    return versions[0] if versions else None


def _list_link(rows: str, recognizer: Recognizer, count: str) -> SafeString:
    url = reverse(f"admin:recognition_{rows}_changelist")
    return format_html(
        '<a class="lacewing-link" href="{}?recognizer__id__exact={}">{}</a>',
        url,
        recognizer.pk,
        count,
    )
