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
)

from recognition.models import MAX_LABEL_CHARS, ModelVersion, Prediction, Recognizer
from recognition.templatetags.presentation import percent


class LabelForm(forms.Form):
    """One label: picked from the known ones, or the name of a class that is new."""

    label = forms.ChoiceField(label=_("Label"), required=False, widget=UnfoldAdminSelectWidget)
    new_label = forms.CharField(
        label=_("or a new label"),
        required=False,
        max_length=MAX_LABEL_CHARS,
        widget=UnfoldAdminTextInputWidget,
        help_text=_("A class that no version knows yet; the next training learns it."),
    )

    def __init__(self, *args: Any, choices: Sequence[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["label"]
        if isinstance(field, forms.ChoiceField):
            field.choices = [("", "---------"), *choices]
        self._known = {value for value, _text in choices}

    def clean(self) -> dict[str, Any]:
        """Settle `chosen_label`; refuse none, two, or a new one that mimics a known one."""
        cleaned = super().clean() or {}
        picked, new = cleaned.get("label", ""), cleaned.get("new_label", "")
        if self.errors:
            return cleaned
        if bool(picked) == bool(new):
            raise ValidationError(
                _("Pick a label or type a new one: exactly one of the two."), code="one_label"
            )
        if new:
            self._refuse_lookalike(new)
        cleaned["chosen_label"] = picked or new
        return cleaned

    def _refuse_lookalike(self, new: str) -> None:
        for known in self._known:
            if known != new and known.casefold() == new.casefold():
                raise ValidationError(
                    _("Received the new label “%(new)s”, but “%(known)s” exists: pick that one."),
                    code="lookalike",
                    params={"new": new, "known": known},
                )


class ActivationForm(forms.Form):
    """Why a version is activated; kept beside it for those who ask later."""

    note = forms.CharField(
        label=_("Why (optional)"),
        required=False,
        max_length=1000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )


def known_labels(recognizer: Recognizer, versions: "QuerySet[ModelVersion]") -> list[str]:
    """Return the labels of the versions and those reviewers added, sorted. Two SQL queries."""
    labels = {label for known in versions.values_list("labels", flat=True) for label in known}
    reviewed = Prediction.objects.filter(recognizer=recognizer).reviewed()
    labels.update(reviewed.order_by().values_list("reviewed_label", flat=True).distinct())
    return sorted(labels)


def choices_by_probability(prediction: Prediction, labels: Iterable[str]) -> list[tuple[str, str]]:
    """Return the labels for a select, the likeliest first, those the version lacks last."""
    classes = prediction.top_classes(len(prediction.probabilities))
    known = {label for label, _probability in classes}
    choices = [(label, f"{label} · {percent(probability)}") for label, probability in classes]
    return choices + [(label, label) for label in labels if label not in known]
