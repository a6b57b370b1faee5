"""Old pictures shown to a version again: how far that has come."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recognition.models.recognizers import ModelVersion


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
