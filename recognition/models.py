"""Rows: what Lacewing does with a model version, what it predicted, what people said of it.

What a version *is* stands in its immutable folder on disk; these rows say what is done
with it. Rules that must always hold are database constraints.
"""

import uuid
from pathlib import Path
from typing import Any, NoReturn, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

PROBABILITY_SUM_TOLERANCE = 1e-3  # float16 weights and rounding to six decimals
MAX_LABEL_CHARS = 200
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


def validate_probabilities(probabilities: object) -> None:
    """Raise ValidationError unless given floats in [0, 1] that sum to 1 ± 1e-3."""
    if not isinstance(probabilities, list) or not probabilities:
        raise ValidationError("Probabilities must be a non-empty list.", code="probabilities")
    if not all(type(p) in (float, int) and 0 <= p <= 1 for p in probabilities):
        raise ValidationError("Each probability must lie in [0, 1].", code="probabilities")
    if abs(sum(probabilities) - 1) > PROBABILITY_SUM_TOLERANCE:
        raise ValidationError(
            "Probabilities must sum to 1, received a sum of %(total)s.",
            code="probabilities",
            params={"total": sum(probabilities)},
        )


class Recognizer(models.Model):
    """What people see and use: "pests", "mushrooms", "digits"."""

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
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        ordering = ("name",)
        verbose_name = _("recognizer")
        verbose_name_plural = _("recognizers")
        constraints = (
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


class PredictionQuerySet(models.QuerySet["Prediction"]):
    """Predictions, by what people said of them."""

    def reviewed(self) -> Self:
        """Those whose label a reviewer has settled."""
        return self.filter(state=Prediction.State.REVIEWED)

    def of_visitor(self, visitor_id: uuid.UUID) -> Self:
        """Those that one browser uploaded."""
        return self.filter(visitor_id=visitor_id)


class Prediction(models.Model):
    """One picture, one model version, the probability of every class."""

    class State(models.TextChoices):
        """Only `REVIEWED` predictions may train a later version."""

        PREDICTED = "predicted", _("predicted")
        SUGGESTED = "suggested", _("suggested by the uploader")
        REVIEWED = "reviewed", _("reviewed")

    class Answer(models.TextChoices):
        """How many classes the answer names; empty where the version can promise nothing."""

        ONE = "one", _("one class")
        SEVERAL = "several", _("several classes")
        NONE = "none", _("none of its classes")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    recognizer = models.ForeignKey(
        Recognizer, models.PROTECT, related_name="predictions", verbose_name=_("recognizer")
    )
    model_version = models.ForeignKey(
        ModelVersion, models.PROTECT, related_name="predictions", verbose_name=_("model version")
    )
    visitor_id = models.UUIDField(_("visitor"), null=True, blank=True, db_index=True)
    picture = models.CharField(
        _("picture"), max_length=100, unique=True, help_text=_("Path under the media directory.")
    )
    picture_sha256 = models.CharField(_("SHA-256 of the stored picture"), max_length=64)
    width_px = models.PositiveIntegerField(_("width in pixels"))
    height_px = models.PositiveIntegerField(_("height in pixels"))
    probabilities = models.JSONField(
        _("probabilities"),
        validators=[validate_probabilities],
        help_text=_("One per label of the model version, in its order."),
    )
    label = models.CharField(_("predicted label"), max_length=MAX_LABEL_CHARS, db_index=True)
    probability = models.FloatField(_("probability"))
    margin = models.FloatField(
        _("margin"), help_text=_("Largest probability less the second largest."), db_index=True
    )
    answer = models.CharField(
        _("answer"), max_length=10, choices=Answer, blank=True, default="", db_index=True
    )
    set_level = models.FloatField(
        _("level of the prediction set"),
        null=True,
        blank=True,
        help_text=_("Share of pictures whose right class is in such a set."),
    )
    set_size = models.PositiveIntegerField(
        _("size of the prediction set"),
        null=True,
        blank=True,
        help_text=_("So many of the most probable classes are in it."),
    )
    novelty = models.FloatField(_("novelty"), null=True, blank=True)
    novelty_threshold = models.FloatField(
        _("novelty threshold"),
        null=True,
        blank=True,
        help_text=_("Above it the picture shows none of the classes."),
    )
    activation_map = models.JSONField(
        _("activation map"),
        null=True,
        blank=True,
        help_text=_("Rows of integers 0 to 255 for the predicted label; null where none."),
    )
    activation_region = models.JSONField(
        _("activation region"),
        default=list,
        blank=True,
        help_text=_("Left, top, right, bottom of what the network saw, as fractions."),
    )
    duration_ms = models.FloatField(_("duration in ms"))
    state = models.CharField(
        _("state"), max_length=10, choices=State, default=State.PREDICTED, db_index=True
    )
    suggested_label = models.CharField(
        _("suggested label"), max_length=MAX_LABEL_CHARS, blank=True, default=""
    )
    reviewed_label = models.CharField(
        _("reviewed label"), max_length=MAX_LABEL_CHARS, blank=True, default=""
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, db_index=True)

    objects = PredictionQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "id")
        verbose_name = _("prediction")
        verbose_name_plural = _("predictions")
        permissions = (("review_prediction", "Can review predictions"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(probability__gte=0) & Q(probability__lte=1),
                name="probability_between_0_and_1",
            ),
            models.CheckConstraint(
                condition=Q(margin__gte=0) & Q(margin__lte=F("probability")),
                name="margin_between_0_and_probability",
            ),
            models.CheckConstraint(
                condition=Q(state="reviewed") ^ Q(reviewed_label=""),
                name="reviewed_prediction_has_label",
            ),
            models.CheckConstraint(condition=Q(duration_ms__gte=0), name="duration_not_negative"),
            models.CheckConstraint(
                condition=Q(set_level__isnull=True, set_size__isnull=True)
                | Q(
                    set_level__isnull=False,
                    set_size__isnull=False,
                    set_level__gt=0,
                    set_level__lt=1,
                    set_size__gte=1,
                ),
                name="prediction_set_has_level_and_size",
            ),
            models.CheckConstraint(
                condition=Q(novelty__isnull=True, novelty_threshold__isnull=True)
                | Q(novelty__isnull=False, novelty_threshold__isnull=False),
                name="novelty_has_threshold",
            ),
            models.CheckConstraint(
                condition=Q(answer="")
                | Q(answer="none", novelty__isnull=False, novelty__gt=F("novelty_threshold"))
                | Q(answer="one", set_size__isnull=False, set_size=1)
                | Q(answer="several", set_size__isnull=False, set_size__gte=2),
                name="answer_has_its_reason",
            ),
        )

    def __str__(self) -> str:
        return f"{self.label} ({self.id})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Validate the probabilities, which a portable CHECK cannot, then save."""
        validate_probabilities(self.probabilities)
        super().save(*args, **kwargs)

    def get_absolute_url(self) -> str:
        return reverse("recognition:prediction", args=[self.id])

    @property
    def picture_path(self) -> Path:
        """Absolute path of the stored picture."""
        return Path(settings.MEDIA_ROOT) / self.picture

    @property
    def current_label(self) -> str:
        """What a reviewer said, or else what the network said."""
        return self.reviewed_label or self.label

    @property
    def is_novel(self) -> bool | None:
        """Whether the picture seems to show none of the classes; None where it was not asked."""
        if self.novelty is None or self.novelty_threshold is None:
            return None
        return self.novelty > self.novelty_threshold

    @property
    def names_one_class(self) -> bool:
        """Whether the answer is the predicted label alone, as it always was before answers."""
        return self.answer in {"", self.Answer.ONE}

    def set_labels(self) -> list[str]:
        """Return the classes of the prediction set, most probable first; none without a set."""
        return [label for label, _p in self.top_classes(self.set_size or 0)]

    def top_classes(self, top_k: int) -> list[tuple[str, float]]:
        """Return the `top_k` most probable (label, probability), best first, ties by label."""
        pairs = zip(self.model_version.labels, self.probabilities, strict=True)
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:top_k]


class Review(models.Model):
    """What a reviewer said the right label is. Append-only: a later review corrects it.

    A database trigger refuses every UPDATE, also from `QuerySet.update` and SQL.
    """

    prediction = models.ForeignKey(
        Prediction, models.CASCADE, related_name="reviews", verbose_name=_("prediction")
    )
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="reviews",
        verbose_name=_("reviewer"),
    )
    previous_label = models.CharField(_("label before"), max_length=MAX_LABEL_CHARS)
    label = models.CharField(_("label"), max_length=MAX_LABEL_CHARS)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        ordering = ("-created_at", "-id")
        verbose_name = _("review")
        verbose_name_plural = _("reviews")
        constraints = (models.CheckConstraint(condition=~Q(label=""), name="review_has_label"),)

    def __str__(self) -> str:
        return f"{self.previous_label} → {self.label}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Insert; refuse to change a review that exists."""
        if not self._state.adding:
            self._refuse()
        super().save(*args, **kwargs)

    @staticmethod
    def _refuse() -> NoReturn:
        raise ValidationError(
            "A review is never edited: write a newer one.", code="review_is_append_only"
        )


class UploadCount(models.Model):
    """Uploads of one client address in one minute; kept for a few minutes only."""

    client = models.CharField(
        _("client"), max_length=64, help_text=_("Keyed hash of the address, never the address.")
    )
    minute = models.PositiveBigIntegerField(_("minutes since 1970"))
    count = models.PositiveIntegerField(_("uploads"))

    class Meta:
        verbose_name = _("upload count")
        verbose_name_plural = _("upload counts")
        constraints = (
            models.UniqueConstraint(fields=["client", "minute"], name="one_count_per_minute"),
        )
        indexes = (models.Index(fields=["minute"], name="upload_count_minute"),)

    def __str__(self) -> str:
        return f"{self.client[:8]} {self.minute}: {self.count}"
