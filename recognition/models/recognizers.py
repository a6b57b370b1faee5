"""Recognizers, their versions, and the record of which version served when."""

from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

RESERVED_SLUGS = (  # first parts of addresses that are pages of their own
    "admin",
    "api",
    "figures",
    "healthz",
    "history",
    "media",
    "predictions",
    "readyz",
    "static",
)


class Recognizer(models.Model):
    """What people see and use: "pests", "mushrooms", "digits"."""

    class Promotion(models.TextChoices):
        """What the gate does with a version that is not worse than the active one."""

        ACTIVATE = "activate", _("activate it")
        PROPOSE = "propose", _("propose it to a person")

    class Schedule(models.TextChoices):
        """When a training begins by itself."""

        NEVER = "never", _("never")
        NIGHTLY = "nightly", _("every night, if there are enough new reviews")
        THRESHOLD = "threshold", _("as soon as there are enough new reviews")

    slug = models.SlugField(_("slug"), unique=True, max_length=60)
    name = models.CharField(_("name"), max_length=120)
    description = models.TextField(_("description"), blank=True)
    data_sources = models.JSONField(
        _("data sources"),
        default=list,
        blank=True,
        help_text=_("Absolute paths of the folders and archives that the last training read."),
    )
    training_options = models.JSONField(
        _("training options"),
        default=dict,
        blank=True,
        help_text=_("What the last training was asked for; the next one asks the same."),
    )
    promotion = models.CharField(
        _("when a new version is not worse"),
        max_length=10,
        choices=Promotion,
        default=Promotion.ACTIVATE,
    )
    schedule = models.CharField(
        _("retrain"), max_length=10, choices=Schedule, default=Schedule.NEVER
    )
    schedule_hour = models.PositiveSmallIntegerField(
        _("hour of the nightly training (UTC)"),
        default=2,
        validators=[MaxValueValidator(23)],
    )
    schedule_reviews = models.PositiveIntegerField(
        _("enough new reviews"), default=50, validators=[MinValueValidator(1)]
    )
    audit_share = models.FloatField(
        _("share of uploads to audit"),
        default=0.03,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
        help_text=_("Drawn at random for review, whatever the network said: 0.03 is 3 %."),
    )
    retention_days = models.PositiveIntegerField(
        _("delete uploads after days"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("Empty: keep them. Reviewed pictures are deleted too."),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        ordering = ("name",)
        verbose_name = _("recognizer")
        verbose_name_plural = _("recognizers")
        permissions = (("retrain_recognizer", "Can train new versions of recognizers"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(audit_share__gte=0) & Q(audit_share__lte=1),
                name="audit_share_between_0_and_1",
            ),
            models.CheckConstraint(
                condition=Q(schedule_hour__lte=23), name="schedule_hour_below_24"
            ),
            models.CheckConstraint(
                condition=~Q(slug__in=RESERVED_SLUGS),
                name="slug_is_not_an_address",
                violation_error_message=_(
                    "This slug is the address of another page: choose a different one."
                ),
            ),
        )

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("recognition:recognizer", args=[self.slug])

    def active_version(self) -> "ModelVersion | None":
        """Return the version that serves, or None. Causes a SQL query."""
        return self.versions.filter(is_active=True).first()

    def challenger(self) -> "ModelVersion | None":
        """Return the version that predicts in the shadow of the active one. Causes a SQL query."""
        return self.versions.filter(is_challenger=True).first()


class ModelVersion(models.Model):
    """One trained, immutable artifact: a folder on disk and what is done with it."""

    recognizer = models.ForeignKey(
        Recognizer, models.PROTECT, related_name="versions", verbose_name=_("recognizer")
    )
    number = models.PositiveIntegerField(_("number"), validators=[MinValueValidator(1)])
    directory = models.CharField(
        _("directory"),
        max_length=500,
        help_text=_("Relative to the data directory, or to the shipped versions."),
    )
    is_shipped = models.BooleanField(_("ships with Lacewing"), default=False)
    metadata_sha256 = models.CharField(_("SHA-256 of the metadata"), max_length=64)
    architecture = models.CharField(_("architecture"), max_length=60)
    labels = models.JSONField(_("labels"))
    metrics = models.JSONField(_("metrics"), default=dict, blank=True)
    is_active = models.BooleanField(_("active"), default=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    activated_at = models.DateTimeField(_("last activated at"), null=True, blank=True)
    activation_note = models.TextField(_("why it was or was not activated"), blank=True, default="")
    is_challenger = models.BooleanField(
        _("predicts in the shadow of the active version"), default=False
    )
    is_proposed = models.BooleanField(_("proposed, waits for a decision"), default=False)
    gate = models.JSONField(
        _("verdict of the gate"),
        default=dict,
        blank=True,
        help_text=_("Verdict, reasons, incumbent and counts of flips; empty where not compared."),
    )

    class Meta:
        ordering = ("recognizer", "-number")
        verbose_name = _("model version")
        verbose_name_plural = _("model versions")
        permissions = (("activate_modelversion", "Can activate and roll back model versions"),)
        constraints = (
            models.UniqueConstraint(fields=["recognizer", "number"], name="one_number_per_version"),
            models.UniqueConstraint(
                fields=["recognizer"],
                condition=Q(is_active=True),
                name="one_active_version_per_recognizer",
            ),
            models.UniqueConstraint(
                fields=["recognizer"],
                condition=Q(is_challenger=True),
                name="one_challenger_per_recognizer",
            ),
            models.CheckConstraint(
                condition=Q(is_active=False) | Q(is_challenger=False, is_proposed=False),
                name="active_version_is_no_challenger",
            ),
            models.CheckConstraint(condition=Q(number__gte=1), name="version_number_from_one"),
            models.CheckConstraint(
                condition=Q(is_active=False) | Q(activated_at__isnull=False),
                name="active_version_has_activation_time",
            ),
        )

    def __str__(self) -> str:
        return f"{self.recognizer.slug} v{self.number}"

    @property
    def path(self) -> Path:
        """Absolute path of the artifact's folder."""
        root = settings.PRETRAINED_DIR if self.is_shipped else settings.VERSIONS_DIR
        return Path(root) / self.directory


class Activation(models.Model):
    """One change of the version that serves: append-only, so that any moment can be asked for.

    A database trigger refuses every UPDATE, also from `QuerySet.update` and SQL.
    """

    class Kind(models.TextChoices):
        """Who or what decided."""

        SHIPPED = "shipped", _("shipped with Lacewing")
        GATE = "gate", _("let through by the gate")
        CHOSEN = "chosen", _("chosen by a person")
        FORCED = "forced", _("forced past the gate")
        ROLLED_BACK = "rolled_back", _("rolled back")

    recognizer = models.ForeignKey(
        Recognizer, models.PROTECT, related_name="activations", verbose_name=_("recognizer")
    )
    version = models.ForeignKey(
        ModelVersion, models.PROTECT, related_name="activations", verbose_name=_("model version")
    )
    previous_version = models.ForeignKey(
        ModelVersion,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("version before"),
    )
    kind = models.CharField(_("how"), max_length=12, choices=Kind)
    reason = models.TextField(_("reason"), blank=True, default="")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("person"),
    )
    activated_at = models.DateTimeField(_("activated at"), db_default=Now(), editable=False)

    class Meta:
        ordering = ("-activated_at", "-id")
        verbose_name = _("activation")
        verbose_name_plural = _("activations")
        indexes = (models.Index(fields=["recognizer", "activated_at"], name="activation_time"),)
        constraints = (
            models.CheckConstraint(
                condition=~Q(kind="forced") | ~Q(reason=""), name="force_has_a_reason"
            ),
        )

    def __str__(self) -> str:
        return f"{self.version} ({self.kind})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; refuse to change what happened."""
        if not self._state.adding:
            self._refuse()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse."""
        self._refuse()

    @staticmethod
    def _refuse() -> NoReturn:
        raise ValidationError(
            "The record of activations is never edited.", code="activation_is_append_only"
        )
