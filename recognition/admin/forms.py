"""Forms of the admin: the right label of one prediction or of many, and why a version serves."""

from collections.abc import Iterable, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from recognition.labels import refuse_lookalike, reviewed_labels
from recognition.models import MAX_LABEL_CHARS, ModelVersion, Prediction, Recognizer
from recognition.templatetags.presentation import percent


class LabelForm(forms.Form):
    """One label: picked from the known ones, the name of a class that is new, or none of them."""

    label = forms.ChoiceField(label=_("Label"), required=False, widget=UnfoldAdminSelectWidget)
    new_label = forms.CharField(
        label=_("or a new label"),
        required=False,
        max_length=MAX_LABEL_CHARS,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("A class that no version knows yet; the next training learns it."),
    )
    is_none = forms.BooleanField(
        label=_("or none of the classes"),
        required=False,
        widget=UnfoldBooleanWidget,
        help_text=_("The picture shows something else: no training learns from it."),
    )

    def __init__(self, *args: Any, choices: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["label"]
        if isinstance(field, forms.ChoiceField):
            field.choices = [("", "---------"), *choices]
        self._known = {value for value, _text in choices}

    def clean(self) -> dict[str, Any]:
        """Settle `chosen_label`, empty for none; refuse no answer, two, or a look-alike."""
        cleaned = super().clean() or {}
        picked, new = cleaned.get("label", ""), cleaned.get("new_label", "")
        if self.errors:
            return cleaned
        if [bool(picked), bool(new), bool(cleaned.get("is_none"))].count(True) != 1:
            raise ValidationError(
                _("Pick a label, type a new one or say none of them: exactly one of the three."),
                code="one_label",
            )
        if new:
            refuse_lookalike(self._known, new)
        cleaned["chosen_label"] = picked or new
        return cleaned


class ActivationForm(forms.Form):
    """Why a version is activated; kept beside it for those who ask later."""

    note = forms.CharField(
        label=_("Why (optional)"),
        required=False,
        max_length=1000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )


class ForceForm(ActivationForm):
    """Why a version serves although the gate found it worse: nobody passes without a reason."""

    note = forms.CharField(
        label=_("Why it is to serve all the same"),
        max_length=1000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        error_messages={"required": _("The gate found it worse: say why it is to serve.")},
    )


def known_labels(recognizer: Recognizer, versions: "QuerySet[ModelVersion]") -> list[str]:
    """Return the labels of the versions and those reviewers added, sorted. Two SQL queries."""
    labels = {label for known in versions.values_list("labels", flat=True) for label in known}
    return sorted(labels.union(reviewed_labels(recognizer)))


def choices_by_probability(prediction: Prediction, labels: Iterable[str]) -> list[tuple[str, str]]:
    """Return the labels for a select, the likeliest first, those the version lacks last."""
    classes = prediction.top_classes(len(prediction.probabilities))
    known = {label for label, _probability in classes}
    choices = [(label, f"{label} · {percent(probability)}") for label, probability in classes]
    return choices + [(label, label) for label in labels if label not in known]
