"""What a reviewer does to many predictions at once."""

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from recognition import services
from recognition.admin.base import signed_in
from recognition.admin.forms import LabelForm, known_labels
from recognition.models import ModelVersion, Prediction, Recognizer

if TYPE_CHECKING:
    from recognition.admin.predictions import PredictionAdmin

Predictions = QuerySet[Prediction]
SHOWN_PICTURES = 24  # on the page that asks for one label for the whole selection


def review(request: HttpRequest, predictions: Predictions, label: str | None) -> int:
    """Review the predictions with the label, or each with its own prediction where None.

    Returns how many reviews were written; what went wrong becomes a message.
    """
    try:
        written = services.review_predictions(predictions, label, signed_in(request))
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return 0
    messages.success(
        request,
        ngettext("%(count)d review written.", "%(count)d reviews written.", written)
        % {"count": written},
    )
    return written


def _tell_left_out(request: HttpRequest, left_out: int, why: str) -> None:
    if left_out:
        messages.warning(request, why % {"count": left_out})


@admin.action(description=_("Confirm the predicted label"), permissions=["review"])
def confirm_predicted_label(
    admin_page: "PredictionAdmin", request: HttpRequest, selection: Predictions
) -> None:
    """Review the unreviewed of the selection with what was predicted.

    Those reviewed already keep their label: a bulk action must not undo a correction.
    """
    settled = selection.filter(is_open=False).count()
    _tell_left_out(request, settled, gettext("Left alone, reviewed before: %(count)d."))
    review(request, selection.filter(is_open=True), None)


@admin.action(description=_("Accept the uploader’s suggestion"), permissions=["review"])
def accept_suggestion(
    admin_page: "PredictionAdmin", request: HttpRequest, selection: Predictions
) -> None:
    """Review the suggested of the selection, each with its own suggestion."""
    suggested = selection.filter(state=Prediction.State.SUGGESTED)
    _tell_left_out(
        request,
        selection.count() - suggested.count(),
        gettext("Left alone, without a suggestion that waits: %(count)d."),
    )
    labels = suggested.order_by().values_list("suggested_label", flat=True).distinct()
    for label in list(labels):
        review(request, suggested.filter(suggested_label=label), label)


@admin.action(description=_("Set label…"), permissions=["review"])
def set_label(
    admin_page: "PredictionAdmin", request: HttpRequest, selection: Predictions
) -> HttpResponse | None:
    """Ask for one label, then review the whole selection with it."""
    recognizers = Recognizer.objects.filter(
        pk__in=selection.order_by().values("recognizer").distinct()
    )
    if len(recognizers) != 1:
        messages.error(
            request,
            _("Received predictions of %(names)s: set a label for one recognizer at a time.")
            % {"names": ", ".join(recognizer.name for recognizer in recognizers)},
        )
        return None
    labels = known_labels(recognizers[0], _versions_that_matter(recognizers[0], selection))
    form = LabelForm(
        request.POST if "apply" in request.POST else None,
        choices=[(label, label) for label in labels],
    )
    if form.is_bound and form.is_valid():
        review(request, selection, form.cleaned_data["chosen_label"])
        return None
    context = {
        **admin_page.admin_site.each_context(request),
        "title": _("Set label"),
        "subtitle": recognizers[0].name,
        "opts": admin_page.opts,
        "media": admin_page.media,
        "form": form,
        "count": selection.count(),
        "shown": selection[:SHOWN_PICTURES],
        "selected_ids": request.POST.getlist(ACTION_CHECKBOX_NAME),
        "select_across": request.POST.get("select_across", "0"),
        "action_checkbox_name": ACTION_CHECKBOX_NAME,
        "is_applied": form.is_bound,
    }
    return TemplateResponse(request, "admin/recognition/prediction/set_label.html", context)


def _versions_that_matter(recognizer: Recognizer, selection: Predictions) -> QuerySet[ModelVersion]:
    used = selection.order_by().values("model_version").distinct()
    return recognizer.versions.filter(Q(is_active=True) | Q(pk__in=used))
