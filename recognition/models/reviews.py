"""Reviews: what people said, in order, and who is looking at what."""

from typing import Any, NoReturn

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from recognition.models.predictions import MAX_LABEL_CHARS, Prediction


class Review(models.Model):
    """What a reviewer said the right label is. Append-only: a later review corrects it.

    An empty label says: none of the classes. A retraction takes the reviewer's own earlier
    word back. `recognition.reviewing.outcome` says what the reviews of a prediction amount to.
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
    previous_label = models.CharField(_("label before"), max_length=MAX_LABEL_CHARS, blank=True)
    label = models.CharField(
        _("label"),
        max_length=MAX_LABEL_CHARS,
        blank=True,
        help_text=_("Empty: none of the classes, or a retraction."),
    )
    is_retraction = models.BooleanField(_("takes the reviewer’s earlier word back"), default=False)
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        ordering = ("-created_at", "-id")
        verbose_name = _("review")
        verbose_name_plural = _("reviews")
        indexes = (models.Index(fields=["-created_at", "-id"], name="reviews_by_time"),)
        constraints = (
            models.CheckConstraint(
                condition=Q(is_retraction=False) | Q(label=""), name="retraction_has_no_label"
            ),
        )

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


class ReviewLease(models.Model):
    """Who has a card before them now: no second reviewer gets it until the lease ends."""

    prediction = models.OneToOneField(
        Prediction,
        models.CASCADE,
        primary_key=True,
        related_name="lease",
        verbose_name=_("prediction"),
    )
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("reviewer")
    )
    expires_at = models.DateTimeField(_("ends at"), db_index=True)

    class Meta:
        verbose_name = _("card in hand")
        verbose_name_plural = _("cards in hand")

    def __str__(self) -> str:
        return f"{self.prediction_id} ({self.reviewer_id})"


class ReviewSkip(models.Model):
    """A card that a reviewer would rather leave to others."""

    prediction = models.ForeignKey(
        Prediction, models.CASCADE, related_name="skips", verbose_name=_("prediction")
    )
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("reviewer")
    )
    created_at = models.DateTimeField(_("created at"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("skipped card")
        verbose_name_plural = _("skipped cards")
        constraints = (
            models.UniqueConstraint(fields=["reviewer", "prediction"], name="skipped_once"),
        )

    def __str__(self) -> str:
        return f"{self.prediction_id} ({self.reviewer_id})"
