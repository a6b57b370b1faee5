"""Recognizers in the admin: their words are edited here, their versions only chosen."""

from collections.abc import Sequence

from django.contrib import admin
from django.db.models import Count, Model, OuterRef, Prefetch, QuerySet, Subquery
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from recognition.admin import formats
from recognition.admin.base import admin_link
from recognition.admin.dashboard_pages import DashboardPages
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
        """Fetch the active versions and count the predictions along."""
        counts = (
            Prediction.objects.filter(recognizer=OuterRef("pk"))
            .order_by()
            .values("recognizer")
            .annotate(count=Count("*"))
            .values("count")
        )
        active = ModelVersion.objects.filter(is_active=True).defer("labels")
        rows: QuerySet[Recognizer] = super().get_queryset(request)
        return rows.annotate(prediction_count=Subquery(counts)).prefetch_related(
            Prefetch("versions", active, to_attr="active_versions")
        )

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

    @admin.display(description=_("predictions"), ordering="prediction_count")
    def prediction_count(self, recognizer: Recognizer) -> int:
        """Return how many predictions it made; counted by `get_queryset`."""
        count: int | None = getattr(recognizer, "prediction_count", None)
        return count or 0

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
        """Return a link to the list of its versions."""
        return _list_link("modelversion", recognizer, recognizer.versions.count())

    @admin.display(description=_("predictions"))
    def predictions_link(self, recognizer: Recognizer) -> SafeString:
        """Return a link to the list of its predictions."""
        return _list_link("prediction", recognizer, self.prediction_count(recognizer))

    @admin.display(description=_("reviewed since the active version"))
    def reviewed_since(self, recognizer: Recognizer) -> str:
        """Return how many predictions were reviewed that the active version cannot know."""
        reviews = Review.objects.filter(prediction__recognizer=recognizer)
        version = _active(recognizer)
        if version is not None:
            reviews = reviews.filter(created_at__gt=version.created_at)
        return str(reviews.order_by().values("prediction").distinct().count())


def _active(recognizer: Recognizer) -> ModelVersion | None:
    versions: list[ModelVersion] = recognizer.active_versions  # type: ignore[attr-defined]
    return versions[0] if versions else None


def _list_link(rows: str, recognizer: Recognizer, count: int) -> SafeString:
    url = reverse(f"admin:recognition_{rows}_changelist")
    return format_html(
        '<a class="lacewing-link" href="{}?recognizer__id__exact={}">{}</a>',
        url,
        recognizer.pk,
        count,
    )
