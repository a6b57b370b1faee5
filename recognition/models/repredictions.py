"""What other versions say of pictures that have their prediction, and how far that has come."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recognition.models.predictions import (
    MAX_LABEL_CHARS,
    Prediction,
    validate_probabilities,
)
from recognition.models.recognizers import ModelVersion


class Reprediction(models.Model):
    """What another version says of a picture that has its prediction already.

    A challenger says it in the shadow of the active version; after a promotion the new version
    says it of old pictures. The prediction itself, which people saw, stays as it was.
    """

    prediction = models.ForeignKey(
        Prediction, models.CASCADE, related_name="repredictions", verbose_name=_("prediction")
    )
    model_version = models.ForeignKey(
        ModelVersion,
        models.PROTECT,
        related_name="repredictions",
        verbose_name=_("model version"),
    )
    probabilities = models.JSONField(_("probabilities"), validators=[validate_probabilities])
    label = models.CharField(_("predicted label"), max_length=MAX_LABEL_CHARS)
    probability = models.FloatField(_("probability"))
    answer = models.CharField(
        _("answer"), max_length=10, choices=Prediction.Answer, blank=True, default=""
    )
    is_shadow = models.BooleanField(_("made in the shadow of the active version"))
    agrees = models.BooleanField(_("names the same label as the prediction"))
    created_at = models.DateTimeField(_("created at"), default=timezone.now)

    class Meta:
        ordering = ("-created_at", "-id")
        verbose_name = _("later prediction")
        verbose_name_plural = _("later predictions")
        constraints = (
            # What makes the jobs that write them safe to repeat.
            models.UniqueConstraint(
                fields=["prediction", "model_version"], name="one_reprediction_per_version"
            ),
            models.CheckConstraint(
                condition=Q(probability__gte=0) & Q(probability__lte=1),
                name="reprediction_probability_between_0_and_1",
            ),
        )
        indexes = (
            models.Index(
                fields=["model_version", "-created_at"],
                condition=Q(agrees=False),
                name="shadow_disagreements",
            ),
            models.Index(fields=["model_version", "agrees"], name="shadow_agreement"),
        )

    def __str__(self) -> str:
        return f"{self.label} ({self.prediction_id})"


class RepredictionRun(models.Model):
    """One pass of a version over the pictures of its recognizer, newest first.

    The place where it stands is in the row, so that it goes on from there after a crash.
    """

    class State(models.TextChoices):
        """`RUNNING` is under way; the others are final."""

        RUNNING = "running", _("running")
        DONE = "done", _("done")
        CANCELLED = "cancelled", _("cancelled")
        FAILED = "failed", _("failed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(
        ModelVersion,
        models.PROTECT,
        related_name="reprediction_runs",
        verbose_name=_("model version"),
    )
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("person"),
    )
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.RUNNING)
    pictures = models.PositiveIntegerField(
        _("pictures in all"), null=True, blank=True, help_text=_("Empty until it has begun.")
    )
    seen = models.PositiveIntegerField(_("pictures looked at"), default=0)
    changed = models.PositiveIntegerField(_("other answers than before"), default=0)
    unreadable = models.PositiveIntegerField(_("pictures that could not be read"), default=0)
    stands_at = models.DateTimeField(
        _("has come to pictures of"), help_text=_("Pictures from this time back are still to see.")
    )
    stands_after = models.UUIDField(
        _("last picture of that time"), null=True, blank=True, editable=False
    )
    error = models.TextField(_("why it failed"), blank=True, default="")
    created_at = models.DateTimeField(_("asked at"), default=timezone.now)
    moved_at = models.DateTimeField(_("last moved at"), default=timezone.now)

    class Meta:
        ordering = ("-created_at",)
        verbose_name = _("pass over old pictures")
        verbose_name_plural = _("passes over old pictures")
        constraints = (
            models.UniqueConstraint(
                fields=["version"], condition=Q(state="running"), name="one_pass_at_a_time"
            ),
        )

    def __str__(self) -> str:
        return f"{self.version} {self.created_at:%Y-%m-%d %H:%M}"
