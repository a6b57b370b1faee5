"""Reviews in the admin: a record to read, never to change."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from recognition.admin.base import ReadOnlyAdmin, TabularInlineBase, admin_link
from recognition.answers import label_or_none
from recognition.models import Review


@admin.register(Review)
class ReviewAdmin(ReadOnlyAdmin):
    """What every reviewer said, newest first."""

    list_display = ("created_at", "recognizer", "before", "said", "reviewer")
    list_filter = ("prediction__recognizer", ("reviewer", admin.RelatedOnlyFieldListFilter))
    list_select_related = ("prediction__recognizer", "reviewer")
    list_per_page = 50
    show_full_result_count = False
    date_hierarchy = "created_at"
    search_fields = ("label", "previous_label", "reviewer__username")
    actions = None
    fields = ("created_at", "prediction_link", "before", "said", "reviewer")
    readonly_fields = ("prediction_link", "before", "said")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Leave the predictions' wide columns in the database."""
        return (
            super()
            .get_queryset(request)
            .defer("prediction__probabilities", "prediction__activation_map")
        )

    @admin.display(description=_("recognizer"), ordering="prediction__recognizer__name")
    def recognizer(self, review: Review) -> str:
        """Return the name of the recognizer."""
        return review.prediction.recognizer.name

    @admin.display(description=_("label before"), ordering="previous_label")
    def before(self, review: Review) -> str:
        """Return what was said before, as people read it."""
        return label_or_none(review.previous_label)

    @admin.display(description=_("label"), ordering="label")
    def said(self, review: Review) -> str:
        """Return what the reviewer said, as people read it."""
        return _said(review)

    @admin.display(description=_("prediction"))
    def prediction_link(self, review: Review) -> SafeString:
        """Return a link to the prediction: whoever may read reviews may follow it."""
        return admin_link(review.prediction, str(review.prediction))


class ReviewInline(TabularInlineBase):
    """The reviews of one prediction, below it."""

    model = Review
    fields = readonly_fields = ("created_at", "before", "said", "reviewer")
    extra = 0
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> Any:
        """Fetch the reviewers along."""
        return super().get_queryset(request).select_related("reviewer")

    @admin.display(description=_("label before"))
    def before(self, review: Review) -> str:
        """Return what was said before, as people read it."""
        return label_or_none(review.previous_label)

    @admin.display(description=_("label"))
    def said(self, review: Review) -> str:
        """Return what the reviewer said, as people read it."""
        return _said(review)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: the form above the list writes reviews."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: a review is never edited."""
        return False


def _said(review: Review) -> str:
    return gettext("took it back") if review.is_retraction else label_or_none(review.label)
