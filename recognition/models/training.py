"""Trainings: what was asked, how far it has come, and which reviewed pictures it learns from."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recognition.models.predictions import MAX_LABEL_CHARS
from recognition.models.recognizers import ModelVersion, Recognizer

LOG_TAIL_CHARS = 20_000
REVIEWED_NAME = "prediction "  # and the id: how trainings call a reviewed picture


class TrainingRun(models.Model):
    """One training of a recognizer, from the wish to the version or the reason why not.

    The row is the truth; the queue only says when to look at it. Whoever works on a run holds
    its lease: `lease` is a token that every write names, so that a worker that was thought dead
    changes nothing when it wakes.
    """

    class State(models.TextChoices):
        """`QUEUED` and `RUNNING` are under way; the others are final."""

        QUEUED = "queued", _("waiting")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    class Cause(models.TextChoices):
        """What began it."""

        PERSON = "person", _("a person")
        COMMAND = "command", _("the command line")
        SCHEDULE = "schedule", _("the schedule")
        ERASURE = "erasure", _("a deleted picture")

    class Activation(models.TextChoices):
        """What to do with the version that comes out."""

        AUTO = "auto", _("activate it unless it is worse")
        NEVER = "never", _("keep it, do not activate it")
        FORCE = "force", _("activate it in any case")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    recognizer = models.ForeignKey(
        Recognizer, models.PROTECT, related_name="training_runs", verbose_name=_("recognizer")
    )
    state = models.CharField(
        _("state"), max_length=10, choices=State, default=State.QUEUED, db_index=True
    )
    cause = models.CharField(_("begun by"), max_length=10, choices=Cause, default=Cause.PERSON)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("person"),
    )
    request = models.JSONField(
        _("what was asked"),
        default=dict,
        blank=True,
        help_text=_("Sources, options and notes, as `recognition.tasks` reads them."),
    )
    activation = models.CharField(
        _("activation"), max_length=5, choices=Activation, default=Activation.AUTO
    )
    force_reason = models.TextField(_("why it is forced"), blank=True, default="")

    stage = models.CharField(
        _("stage"), max_length=20, blank=True, default="", help_text=_("As `ml.events` names it.")
    )
    history = models.JSONField(
        _("epochs so far"), default=list, blank=True, help_text=_("A row for every epoch.")
    )
    epochs = models.PositiveIntegerField(_("epochs in all"), null=True, blank=True)
    log_tail = models.TextField(_("end of the log"), blank=True, default="")
    error = models.TextField(_("why it failed"), blank=True, default="")
    cancel_requested = models.BooleanField(_("is to be cancelled"), default=False)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    lease = models.UUIDField(_("lease"), null=True, blank=True, editable=False)
    lease_expires_at = models.DateTimeField(_("lease ends at"), null=True, blank=True)
    version = models.OneToOneField(
        ModelVersion,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="training_run",
        verbose_name=_("model version"),
    )
    created_at = models.DateTimeField(_("asked at"), default=timezone.now, db_index=True)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        ordering = ("-created_at",)
        verbose_name = _("training run")
        verbose_name_plural = _("training runs")
        constraints = (
            models.UniqueConstraint(
                fields=["recognizer"],
                condition=Q(state__in=("queued", "running")),
                name="one_training_at_a_time",
            ),
            models.CheckConstraint(
                condition=~Q(state="done") | Q(version__isnull=False),
                name="finished_training_has_version",
            ),
            models.CheckConstraint(
                condition=Q(state__in=("queued", "running")) | Q(ended_at__isnull=False),
                name="ended_training_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(activation="force") | ~Q(force_reason=""),
                name="forced_training_has_reason",
            ),
        )

    def __str__(self) -> str:
        return f"{self.recognizer.slug} {self.created_at:%Y-%m-%d %H:%M}"

    @property
    def is_under_way(self) -> bool:
        """Whether it waits or runs."""
        return self.state in {self.State.QUEUED, self.State.RUNNING}


class SnapshotItem(models.Model):
    """One reviewed picture that a training learned from or was tested on.

    A database trigger refuses every picture that reviewers have not settled. The id is no
    foreign key: the row outlives the picture, so that the versions that learned from a deleted
    one can be named.
    """

    run = models.ForeignKey(
        TrainingRun, models.CASCADE, related_name="snapshot", verbose_name=_("training run")
    )
    prediction_id = models.UUIDField(_("prediction"), db_index=True)
    picture_sha256 = models.CharField(_("SHA-256 of the stored picture"), max_length=64)
    label = models.CharField(_("label"), max_length=MAX_LABEL_CHARS)
    split = models.CharField(
        _("split"),
        max_length=10,
        blank=True,
        default="",
        help_text=_("train, validation or test; empty until the training has assigned it."),
    )

    class Meta:
        verbose_name = _("picture of a training")
        verbose_name_plural = _("pictures of trainings")
        constraints = (
            models.UniqueConstraint(fields=["run", "prediction_id"], name="one_row_per_picture"),
        )

    def __str__(self) -> str:
        return f"{self.prediction_id} ({self.split})"


class ErasureReceipt(models.Model):
    """Proof that an upload was deleted, without anything that could bring it back."""

    class Cause(models.TextChoices):
        """Who or what deleted it."""

        VISITOR = "visitor", _("its uploader")
        STAFF = "staff", _("staff")
        RETENTION = "retention", _("its age")

    recognizer = models.ForeignKey(
        Recognizer, models.PROTECT, related_name="erasures", verbose_name=_("recognizer")
    )
    receipt = models.CharField(
        _("receipt"),
        max_length=64,
        unique=True,
        help_text=_("Keyed hash of the prediction's id: who knows the id can check it."),
    )
    cause = models.CharField(_("deleted by"), max_length=10, choices=Cause)
    learned_versions = models.ManyToManyField(
        ModelVersion, related_name="+", verbose_name=_("versions that learned from it"), blank=True
    )
    erased_at = models.DateTimeField(_("deleted at"), default=timezone.now, db_index=True)

    class Meta:
        ordering = ("-erased_at",)
        verbose_name = _("erasure receipt")
        verbose_name_plural = _("erasure receipts")

    def __str__(self) -> str:
        return self.receipt[:12]
