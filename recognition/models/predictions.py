"""Predictions: what a version said of a picture."""

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from recognition.models.recognizers import ModelVersion, Recognizer

if TYPE_CHECKING:
    from recognition.models.repredictions import Reprediction

PROBABILITY_SUM_TOLERANCE = 1e-3  # float16 weights and rounding to six decimals
MAX_LABEL_CHARS = 200
SETTLED_STATES = ("reviewed", "agreed")


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


class _Literal(models.Value):
    """A word of ours, written into the SQL: SQLite finds no partial index by a parameter."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        return f"'{self.value}'", ()


class PredictionQuerySet(models.QuerySet["Prediction"]):
    """Predictions, by what people said of them."""

    def settled(self) -> Self:
        """Those that reviewers have settled, "none of these" included."""
        return self.filter(state__in=[_Literal(state) for state in SETTLED_STATES])

    def reviewed(self) -> Self:
        """Those whose label reviewers have settled: what a training may learn from."""
        return self.settled().exclude(reviewed_label="")

    def open(self) -> Self:
        """Those that nobody has reviewed yet."""
        return self.filter(is_open=True)

    def of_visitor(self, visitor_id: uuid.UUID) -> Self:
        """Those that one browser uploaded."""
        return self.filter(visitor_id=visitor_id)


class Prediction(models.Model):
    """One picture, one model version, the probability of every class."""

    class State(models.TextChoices):
        """Only `REVIEWED` and `AGREED` predictions may train a later version."""

        PREDICTED = "predicted", _("predicted")
        SUGGESTED = "suggested", _("suggested by the uploader")
        REVIEWED = "reviewed", _("reviewed")
        AGREED = "agreed", _("agreed by two reviewers")
        DISPUTED = "disputed", _("reviewers disagree")

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
    is_open = models.GeneratedField(
        verbose_name=_("waits for a review"),
        expression=Q(state__in=("predicted", "suggested")),  # type: ignore[arg-type]
        output_field=models.BooleanField(),
        db_persist=True,
    )
    is_audit = models.BooleanField(
        _("audited"),
        default=False,
        help_text=_("Drawn at random, so that accuracy in the field can be told from it."),
    )
    suggested_label = models.CharField(
        _("suggested label"),
        max_length=MAX_LABEL_CHARS,
        blank=True,
        default="",
        help_text=_("Empty beside a time of suggestion: none of the classes."),
    )
    suggested_at = models.DateTimeField(_("suggested at"), null=True, blank=True)
    reviewed_label = models.CharField(
        _("reviewed label"),
        max_length=MAX_LABEL_CHARS,
        blank=True,
        default="",
        help_text=_("Empty in a settled prediction: none of the classes."),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, db_index=True)

    objects = PredictionQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "id")
        verbose_name = _("prediction")
        verbose_name_plural = _("predictions")
        permissions = (("review_prediction", "Can review predictions"),)
        indexes = (
            # One for each queue of reviews; partial, for what is settled leaves them.
            models.Index(
                fields=["recognizer", "margin"], condition=Q(is_open=True), name="queue_uncertain"
            ),
            models.Index(
                fields=["recognizer", "-created_at"],
                condition=Q(is_open=True),
                name="queue_newest",
            ),
            models.Index(
                fields=["recognizer", "label", "-created_at"],
                condition=Q(is_open=True),
                name="queue_label",
            ),
            models.Index(
                fields=["recognizer", "-created_at"],
                condition=Q(is_open=True, answer="none"),
                name="queue_none",
            ),
            models.Index(
                fields=["recognizer", "-created_at"],
                condition=Q(is_open=True, is_audit=True),
                name="queue_audit",
            ),
            models.Index(
                fields=["recognizer", "-suggested_at"],
                condition=Q(state="suggested"),
                name="queue_suggested",
            ),
            models.Index(
                fields=["recognizer", "-created_at"],
                condition=Q(state="disputed"),
                name="queue_disputed",
            ),
            # Accuracy in the field is read from this index alone.
            models.Index(
                fields=[
                    "recognizer",
                    "created_at",
                    "model_version",
                    "state",
                    "label",
                    "reviewed_label",
                    "answer",
                    "is_audit",
                    "id",
                ],
                condition=Q(is_audit=True),
                name="audited_answers",
            ),
            # Uploads of a time and what was answered; lists, the newest first.
            models.Index(
                fields=["recognizer", "-created_at", "answer", "margin"], name="uploads_by_time"
            ),
            models.Index(fields=["visitor_id", "-created_at"], name="newest_of_visitor"),
            models.Index(fields=["state", "-created_at", "recognizer"], name="newest_of_state"),
            models.Index(
                fields=["label", "-created_at", "recognizer", "margin"], name="newest_of_label"
            ),
            models.Index(fields=["answer", "-created_at", "recognizer"], name="newest_of_answer"),
            models.Index(fields=["model_version", "-created_at"], name="newest_of_version"),
            models.Index(
                fields=["recognizer", "reviewed_label"],
                condition=Q(state__in=("reviewed", "agreed")),
                name="settled_by_label",
            ),
        )
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
                condition=Q(reviewed_label="") | Q(state__in=("reviewed", "agreed")),
                name="only_settled_prediction_has_reviewed_label",
            ),
            models.CheckConstraint(
                condition=~Q(state="suggested") | Q(suggested_at__isnull=False),
                name="suggested_prediction_has_time",
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
    def is_settled(self) -> bool:
        """Whether reviewers have settled it."""
        return self.state in SETTLED_STATES

    @property
    def current_label(self) -> str:
        """What reviewers said ("" for none of the classes), or else what the network said."""
        return self.reviewed_label if self.is_settled else self.label

    @property
    def is_right(self) -> bool | None:
        """Whether reviewers said what the network said; None while they have not settled it."""
        return self.reviewed_label == self.label if self.is_settled else None

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

    def later_answer(self) -> "Reprediction | None":
        """Return what the version says that was asked again last. Causes a SQL query.

        Human labels win over both answers; a challenger's word is not for uploaders.
        """
        later = self.repredictions.filter(is_shadow=False).select_related("model_version")
        return later.order_by("-created_at", "-id").first()

    def set_labels(self) -> list[str]:
        """Return the classes of the prediction set, most probable first; none without a set."""
        return [label for label, _p in self.top_classes(self.set_size or 0)]

    def top_classes(self, top_k: int) -> list[tuple[str, float]]:
        """Return the `top_k` most probable (label, probability), best first, ties by label."""
        pairs = zip(self.model_version.labels, self.probabilities, strict=True)
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))[:top_k]
