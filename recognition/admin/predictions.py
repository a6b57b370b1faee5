"""Predictions in the admin: look, compare, settle the label; nothing else may be changed."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Model, Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from recognition import services
from recognition.admin.actions import accept_suggestion, confirm_predicted_label, review, set_label
from recognition.admin.base import admin_link
from recognition.admin.erasures import log_receipts, offer_retraining
from recognition.admin.filters import LabelFilter, MarginFilter, VersionFilter
from recognition.admin.forms import LabelForm, choices_by_probability, known_labels
from recognition.admin.grid_pages import GridPages
from recognition.admin.lists import CappedPaginator, with_label_like
from recognition.admin.reviews import ReviewInline
from recognition.models import ErasureReceipt, ModelVersion, Prediction, Recognizer
from recognition.templatetags.presentation import percent

WIDE_COLUMNS = ("probabilities", "activation_map")


class PredictionChangeList(ChangeList):
    """The list of predictions, without the columns that only one prediction's page shows."""

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: Any = None
    ) -> "QuerySet[Prediction]":
        """Leave the wide columns in the database, and fetch the few related rows by themselves.

        In a join SQLite begins with the recognizers, collects all predictions and sorts them.
        """
        rows: QuerySet[Prediction] = super().get_queryset(request, exclude_parameters)
        return rows.defer(*WIDE_COLUMNS).prefetch_related(
            Prefetch("recognizer", Recognizer.objects.only("slug", "name")),
            Prefetch("model_version", ModelVersion.objects.only("number", "recognizer")),
        )


@admin.register(Prediction)
class PredictionAdmin(GridPages):
    """The list to review, and one page per picture."""

    list_display = (
        "thumbnail",
        "label_column",
        "answer",
        "probability_column",
        "margin_column",
        "version_column",
        "state",
        "created_column",
    )
    list_display_links = ("thumbnail", "label_column")
    list_filter = (
        "recognizer",
        "state",
        VersionFilter,
        LabelFilter,
        MarginFilter,
        "answer",
        "created_at",
    )
    list_per_page = 50
    show_full_result_count = False
    paginator = CappedPaginator
    sortable_by = ("margin_column", "created_column")  # by these an index sorts
    search_fields = ("label",)
    search_help_text = _("A label, or the whole id of a prediction.")
    actions = (confirm_predicted_label, accept_suggestion, set_label)
    change_form_template = "admin/recognition/prediction/change_form.html"
    delete_confirmation_template = "admin/recognition/prediction/delete_confirmation.html"
    delete_selected_confirmation_template = (
        "admin/recognition/prediction/delete_selected_confirmation.html"
    )
    inlines = (ReviewInline,)
    fields = (
        ("recognizer_link", "version_link"),
        ("state", "suggested_label", "reviewed_label"),
        ("answer", "set_size", "set_level"),
        ("novelty", "novelty_threshold"),
        ("margin_column", "duration", "size"),
        "created_at",
        "picture",
        "picture_sha256",
    )
    readonly_fields = (
        "recognizer_link",
        "version_link",
        "margin_column",
        "duration",
        "size",
    )

    # Rights

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Allow erasure to those who hold the right; reviewers do not."""
        return request.user.has_perm("recognition.delete_prediction")

    # Deletion takes the picture along

    def log_deletions(self, request: HttpRequest, queryset: Any) -> list[LogEntry]:
        """Keep ids and labels of the deleted out of the admin's record: receipts stand in it."""
        return []

    def delete_model(self, request: HttpRequest, obj: Prediction) -> None:
        """Delete the row, all that hangs on it and its stored picture."""
        self._delete(request, [obj.pk])

    def delete_queryset(self, request: HttpRequest, queryset: "QuerySet[Prediction]") -> None:
        """Delete every row of the selection and its picture."""
        self._delete(request, list(queryset.values_list("pk", flat=True)))

    @staticmethod
    def _delete(request: HttpRequest, ids: list[UUID]) -> None:
        receipts = services.delete_predictions(ids, cause=ErasureReceipt.Cause.STAFF)
        log_receipts(request, receipts)
        offer_retraining(request, receipts)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Let reviews go with their prediction, though nobody may delete one alone."""
        to_delete, counts, lacking, protected = super().get_deleted_objects(objs, request)
        return to_delete, counts, lacking - {"review"}, protected

    # List

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list that leaves wide columns alone."""
        return PredictionChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Prediction]", search_term: str
    ) -> "tuple[QuerySet[Prediction], bool]":
        """Find a prediction by its id, or many by a piece of a label."""
        try:
            prediction_id = UUID(search_term.strip())
        except ValueError:
            found = with_label_like(queryset, search_term.strip()) if search_term else queryset
            return found, False
        return queryset.filter(pk=prediction_id), False

    @admin.display(description=_("picture"))
    def thumbnail(self, prediction: Prediction) -> SafeString:
        """Return the stored picture, small, fetched only when scrolled to."""
        return format_html(
            '<img class="lacewing-thumbnail" src="{}" alt="" width="64" height="64"'
            ' loading="lazy" decoding="async">',
            reverse("recognition:picture", args=[prediction.pk]),
        )

    @admin.display(description=_("label"))
    def label_column(self, prediction: Prediction) -> SafeString | str:
        """Return the predicted label, and beside it what people said instead."""
        if prediction.is_right is False:
            return format_html(
                '<s>{}</s> <strong class="lacewing-label">{}</strong>',
                prediction.label,
                prediction.reviewed_label or _("none of the classes"),
            )
        if prediction.state == Prediction.State.DISPUTED:
            return format_html(
                '{} <em class="lacewing-label">{}</em>',
                prediction.label,
                prediction.get_state_display(),
            )
        if prediction.state == Prediction.State.SUGGESTED:
            return format_html(
                '{} <em class="lacewing-label">{}?</em>',
                prediction.label,
                prediction.suggested_label or _("none of the classes"),
            )
        return prediction.label

    @admin.display(description=_("probability"))
    def probability_column(self, prediction: Prediction) -> str:
        """Return the probability of the predicted label as percent."""
        return percent(prediction.probability)

    @admin.display(description=_("margin"), ordering="margin")
    def margin_column(self, prediction: Prediction) -> str:
        """Return how far the best class leads, as percent."""
        return percent(prediction.margin)

    @admin.display(description=_("version"))
    def version_column(self, prediction: Prediction) -> str:
        """Return the version, as "pests v3"."""
        return f"{prediction.recognizer.slug} v{prediction.model_version.number}"

    @admin.display(description=_("created (UTC)"), ordering="created_at")
    def created_column(self, prediction: Prediction) -> str:
        """Return the time in a form that is short and the same in every language."""
        return f"{prediction.created_at:%Y-%m-%d %H:%M}"

    # One prediction

    @admin.display(description=_("recognizer"))
    def recognizer_link(self, prediction: Prediction) -> SafeString:
        """Return a link to the recognizer."""
        return admin_link(prediction.recognizer, prediction.recognizer.name)

    @admin.display(description=_("model version"))
    def version_link(self, prediction: Prediction) -> SafeString:
        """Return a link to the version that predicted."""
        return admin_link(prediction.model_version, self.version_column(prediction))

    @admin.display(description=_("size of the stored picture"))
    def size(self, prediction: Prediction) -> str:
        """Return width and height."""
        return f"{prediction.width_px} × {prediction.height_px} px"

    @admin.display(description=_("time taken"))
    def duration(self, prediction: Prediction) -> str:
        """Return how long decoding and inference took."""
        return f"{prediction.duration_ms:.1f} ms"

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add the picture, every class and the form that settles the label."""
        prediction: Prediction = context["original"]
        if "label_form" not in context:
            context["label_form"] = self._label_form(prediction)
        context["classes"] = prediction.top_classes(len(prediction.probabilities))
        context["later"] = prediction.repredictions.select_related("model_version").defer(
            "probabilities"
        )
        context["may_review"] = self.has_review_permission(request)
        return super().render_change_form(request, context, *args, **kwargs)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one prediction; a POST settles its label."""
        if request.method != "POST":
            return super().change_view(request, object_id, form_url, extra_context)
        if not self.has_review_permission(request):
            raise PermissionDenied
        prediction = self.get_object(request, object_id)
        if prediction is None:
            raise Http404
        return self._settle(request, prediction)

    def _settle(self, request: HttpRequest, prediction: Prediction) -> HttpResponse:
        form = self._label_form(prediction, request.POST)
        if not form.is_valid():
            for error in form.errors.values():
                messages.error(request, " ".join(map(str, error)))
            return HttpResponseRedirect(request.get_full_path())
        label = form.cleaned_data["chosen_label"]
        review(request, Prediction.objects.filter(pk=prediction.pk), label)
        target = self._next_unsettled(prediction) if "_next" in request.POST else prediction
        if target is None:
            messages.info(request, _("No other prediction of this recognizer waits for a review."))
            target = prediction
        url = reverse("admin:recognition_prediction_change", args=[target.pk])
        preserved: dict[str, Any] = {
            "preserved_filters": self.get_preserved_filters(request),
            "opts": self.opts,
        }
        return HttpResponseRedirect(add_preserved_filters(preserved, url))

    @staticmethod
    def _label_form(prediction: Prediction, data: QueryDict | None = None) -> LabelForm:
        active = prediction.recognizer.versions.filter(is_active=True)
        labels = known_labels(prediction.recognizer, active)
        choices = choices_by_probability(prediction, labels)
        said = prediction.current_label
        if not prediction.is_settled and prediction.suggested_at:
            said = prediction.suggested_label
        initial = {"label": said, "is_none": said == services.NONE_OF_THESE}
        return LabelForm(data, choices=choices, initial=initial)

    @staticmethod
    def _next_unsettled(prediction: Prediction) -> Prediction | None:
        """Return the recognizer's unreviewed prediction with the smallest margin, or None."""
        waiting = Prediction.objects.filter(recognizer=prediction.recognizer).open()
        return waiting.exclude(pk=prediction.pk).order_by("margin").first()
