"""Uploads that are older than their recognizer keeps them."""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from django.db import models
from django.utils import timezone

from recognition.erasing import BATCH_ROWS, delete_predictions
from recognition.models import ErasureReceipt, Prediction, Recognizer

MOST_AT_ONCE: Final = 2000  # a minute's share; what is left waits for the next

logger = logging.getLogger(__name__)


def expired(recognizer: Recognizer) -> models.QuerySet[Prediction]:
    """Return the recognizer's uploads that are too old to keep, the oldest first."""
    rows = Prediction.objects.filter(recognizer=recognizer)
    if recognizer.retention_days is None:
        return rows.none()
    oldest_kept = timezone.now() - timedelta(days=recognizer.retention_days)
    return rows.filter(created_at__lt=oldest_kept).order_by("created_at")


def recognizers_that_forget() -> models.QuerySet[Recognizer]:
    """Return the recognizers that keep uploads for a time only."""
    return Recognizer.objects.filter(retention_days__isnull=False).order_by("slug")


def delete_expired(most: int | None = MOST_AT_ONCE) -> int:
    """Delete uploads that are too old, reviewed ones too; return how many. None deletes all.

    In batches, so that uploads get their turn in between.
    """
    deleted = 0
    for batch in _batches(most):
        deleted += batch
    if deleted:
        logger.info("Deleted %d uploads that were older than their recognizer keeps them.", deleted)
    return deleted


def _batches(most: int | None) -> Iterator[int]:
    left = most
    for recognizer in recognizers_that_forget():
        while left is None or left > 0:
            rows = BATCH_ROWS if left is None else min(BATCH_ROWS, left)
            ids = list(expired(recognizer).values_list("pk", flat=True)[:rows])
            if not ids:
                break
            deleted = len(delete_predictions(ids, cause=ErasureReceipt.Cause.RETENTION))
            left = None if left is None else left - len(ids)
            yield deleted
