"""Reviews in the admin: a record to read, never to change."""

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Model, Prefetch, Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from recognition.admin.base import ReadOnlyAdmin, TabularInlineBase, admin_link
from recognition.admin.filters import RecognizerFilter
from recognition.admin.lists import CappedPaginator
from recognition.answers import label_or_none
from recognition.models import Prediction, Review


@admin.register(Review)
class ReviewAdmin(ReadOnlyAdmin):
    """What every reviewer said, newest first."""

    list_display = ("created_at", "recognizer", "before", "said", "reviewer")
    list_filter = (RecognizerFilter, "reviewer", "created_at")
    list_select_related = ()
    list_per_page = 50
    show_full_result_count = False
    paginator = CappedPaginator
    sortable_by = ("created_at",)  # by it an index sorts
    search_fields = ("label",)
    actions = None
    fields = ("created_at", "prediction_link", "before", "said", "reviewer")
    readonly_fields = ("prediction_link", "before", "said")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Fetch the related rows by themselves: a join would collect all reviews and sort them."""
        predictions = Prediction.objects.defer("probabilities", "activation_map")
        return (
            super()
            .get_queryset(request)
            .prefetch_related(
                Prefetch("prediction", predictions), "prediction__recognizer", "reviewer"
            )
        )

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Review]", search_term: str
    ) -> "tuple[QuerySet[Review], bool]":
        """Find reviews by a piece of a label or of a reviewer's name, without a join."""
        if not search_term:
            return queryset, False
        users = get_user_model()._default_manager.filter(username__icontains=search_term)
        found = (
            Q(label__icontains=search_term)
            | Q(previous_label__icontains=search_term)
            | Q(reviewer__in=list(users.values_list("pk", flat=True)))
        )
        return queryset.filter(found), False

    @admin.display(description=_("recognizer"))
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
