"""Embeddings: which pictures are alike."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from recognition.models.predictions import Prediction


class Embedding(models.Model):
    """Where a picture lies for the network that saw it: a short sketch, to tell alike from unlike.

    Kept apart from the prediction, whose rows lists read by the thousand.
    """

    prediction = models.OneToOneField(
        Prediction,
        models.CASCADE,
        primary_key=True,
        related_name="embedding",
        verbose_name=_("prediction"),
    )
    sketch = models.BinaryField(
        _("sketch"), help_text=_("See `ml.sketch`; comparable within one model version only.")
    )

    class Meta:
        verbose_name = _("embedding")
        verbose_name_plural = _("embeddings")

    def __str__(self) -> str:
        return str(self.prediction_id)
