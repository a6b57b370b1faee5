"""Beginning a training in the admin: what it will learn from, and how."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from ml.architecture_names import BACKBONES, BASELINES, FROM_SCRATCH
from recognition import training_runs
from recognition.admin.base import ModelAdminBase, admin_link, signed_in
from recognition.errors import ApplicationError
from recognition.models import Prediction, Recognizer, TrainingRun
from recognition.schedules import new_reviewed
from recognition.training_requests import remembered_options

SHOWN_PICTURES = 24
OPTIONS = ("architecture", "image_size_px", "epochs", "pictures", "quick")


class RetrainForm(forms.Form):
    """What a training is asked for; what is left as it stands goes as last time."""

    architecture = forms.ChoiceField(
        label=_("Architecture"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=_("The network to train; docs/networks.md compares them."),
    )
    image_size_px = forms.IntegerField(
        label=_("Side of the pictures in pixels"),
        required=False,
        min_value=8,
        max_value=1024,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=_("Empty: as the pictures and the network want it."),
    )
    epochs = forms.IntegerField(
        label=_("Epochs"),
        required=False,
        min_value=0,
        max_value=10_000,
        widget=UnfoldAdminIntegerFieldWidget,
        help_text=_("Empty: as many as are known to be good."),
    )
    pictures = forms.ChoiceField(
        label=_("Pictures"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        choices=(
            ("", _("as recommended: photographs")),
            ("photos", _("photographs")),
            ("drawings", _("drawings: cropped to their ink, never mirrored")),
        ),
    )
    quick = forms.BooleanField(
        label=_("Quick"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=_("A first answer in the least time, less accurate."),
    )
    activation = forms.ChoiceField(
        label=_("When it is done"),
        choices=TrainingRun.Activation.choices,
        initial=TrainingRun.Activation.AUTO,
        widget=UnfoldAdminSelectWidget,
    )
    force_reason = forms.CharField(
        label=_("Why it is forced"),
        required=False,
        max_length=1000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=_("Needed to activate it in any case; it is kept in the record."),
    )
    note = forms.CharField(
        label=_("A sentence for the model card"),
        required=False,
        max_length=500,
        widget=UnfoldAdminTextInputWidget,
    )

    def __init__(self, data: QueryDict | None, *, remembered: dict[str, Any]) -> None:
        initial = {name: remembered[name] for name in OPTIONS if name in remembered}
        super().__init__(data, initial=initial)
        field = self.fields["architecture"]
        if isinstance(field, forms.ChoiceField):
            field.choices = architecture_choices(remembered.get("architecture"))

    def clean(self) -> dict[str, Any]:
        """Ask for the reason of a forced activation."""
        cleaned = super().clean() or {}
        forced = cleaned.get("activation") == TrainingRun.Activation.FORCE
        if forced and not cleaned.get("force_reason", "").strip():
            self.add_error(
                "force_reason",
                ValidationError(
                    _("Say why a version that may be worse is to serve."), code="no_reason"
                ),
            )
        return cleaned

    def asked_options(self) -> dict[str, Any]:
        """Return what differs from last time."""
        asked = {name: self.cleaned_data[name] for name in OPTIONS if name in self.changed_data}
        return {name: value for name, value in asked.items() if value not in (None, "")}


def architecture_choices(remembered: str | None) -> list[Any]:
    """Return the architectures in groups, the one of the last training marked."""

    def named(names: tuple[str, ...]) -> list[tuple[str, Any]]:
        return [
            (name, format_lazy("{} ({})", name, _("as last time")) if name == remembered else name)
            for name in names
        ]

    recommended = [] if remembered else [("", _("as recommended for these pictures"))]
    return [
        *recommended,
        (_("For photographs: learned from ImageNet"), named(BACKBONES)),
        (_("For small pictures and drawings: from scratch"), named(FROM_SCRATCH)),
        (_("Simple ones to compare with"), named(BASELINES)),
    ]


class RetrainMixin(ModelAdminBase):
    """The page of a recognizer that begins a training."""

    def has_retrain_permission(self, request: HttpRequest) -> bool:
        """Allow it to those who hold the right."""
        return request.user.has_perm("recognition.retrain_recognizer")

    def get_urls(self) -> list[URLPattern]:
        """Add the page."""
        return [
            path(
                "<int:recognizer_id>/retrain/",
                self.admin_site.admin_view(self.retrain_view),
                name="recognition_recognizer_retrain",
            ),
            *super().get_urls(),
        ]

    def retrain_link(self, recognizer: Recognizer) -> SafeString:
        """Return the way to the training that is under way, or to beginning one."""
        run = training_runs.under_way(recognizer)
        if run is not None:
            return admin_link(run, str(_("A training is under way")))
        return format_html(
            '<a class="lacewing-button lacewing-button--primary" href="{}">{}</a>',
            reverse("admin:recognition_recognizer_retrain", args=[recognizer.pk]),
            _("Retrain…"),
        )

    retrain_link.short_description = _("training")  # type: ignore[attr-defined]

    def retrain_view(self, request: HttpRequest, recognizer_id: int) -> HttpResponse:
        """Show what a training would learn from; begin it."""
        if not self.has_retrain_permission(request):
            raise PermissionDenied
        recognizer = get_object_or_404(Recognizer, pk=recognizer_id)
        form = RetrainForm(
            request.POST if request.method == "POST" else None,
            remembered=remembered_options(recognizer),
        )
        if form.is_valid():
            response = self._begin(request, recognizer, form)
            if response is not None:
                return response
        return TemplateResponse(
            request,
            "admin/recognition/recognizer/retrain.html",
            {
                **self.admin_site.each_context(request),
                "title": _("Retrain %(name)s") % {"name": recognizer.name},
                "content_title": _("Retrain %(name)s") % {"name": recognizer.name},
                "opts": self.opts,
                "media": self.media,
                "original": recognizer,
                "form": form,
                "may_see_sources": self.has_change_permission(request, recognizer),
                "run": training_runs.under_way(recognizer),
                **lesson(recognizer),
            },
        )

    def _begin(
        self, request: HttpRequest, recognizer: Recognizer, form: RetrainForm
    ) -> HttpResponse | None:
        asked = form.cleaned_data
        forced = asked["activation"] == TrainingRun.Activation.FORCE
        try:
            run = training_runs.request_training(
                recognizer,
                person=signed_in(request),
                options=form.asked_options(),
                activation=asked["activation"],
                force_reason=asked["force_reason"].strip() if forced else "",
                notes=[asked["note"]] if asked["note"] else [],
            )
        except ApplicationError as error:
            messages.error(request, error.message)
            return None
        self.log_change(request, recognizer, "Began a training.")
        return HttpResponseRedirect(reverse("admin:recognition_trainingrun_change", args=[run.pk]))


def lesson(recognizer: Recognizer) -> dict[str, Any]:
    """Return what a training would learn from: reviewed pictures by label, and the newest new."""
    reviewed = Prediction.objects.filter(recognizer=recognizer).reviewed()
    counts = {"all": reviewed.order_by(), "new": new_reviewed(recognizer)}
    by_label: dict[str, dict[str, int]] = {}
    for which, rows in counts.items():
        found = rows.values_list("reviewed_label").annotate(count=Count("*"))
        for label, count in found:
            by_label.setdefault(label, {"all": 0, "new": 0})[which] = count
    new_count = sum(count["new"] for count in by_label.values())
    newest = new_reviewed(recognizer).order_by("-created_at") if new_count else reviewed.none()
    return {
        "labels": sorted(by_label.items()),
        "new_count": new_count,
        "all_count": sum(count["all"] for count in by_label.values()),
        "newest": newest.only("pk", "reviewed_label")[:SHOWN_PICTURES],
        "sources": recognizer.data_sources,
    }
