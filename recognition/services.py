"""What crosses rows, disk and classifiers: uploads, suggestions, reviews, deletions.

Views, the admin, the API and commands call these; the ones about model versions stand in
`recognition.versions` and are offered here too.
"""

import errno
import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.db import OperationalError, transaction

from ml.answers import answer_of
from ml.errors import ImageError
from ml.explanation import activation_map
from ml.inference import Classification
from recognition import serving
from recognition.errors import StorageFullError, database_refusal, image_refusal
from recognition.models import MAX_LABEL_CHARS, Prediction, Recognizer, Review
from recognition.versions import (
    activate_version,
    read_metrics,
    register_shipped,
    register_version,
    rollback,
    rollback_target,
)

__all__ = [
    "activate_version",
    "classify_upload",
    "delete_prediction",
    "read_metrics",
    "register_shipped",
    "register_version",
    "review_predictions",
    "rollback",
    "rollback_target",
    "suggest_label",
]

logger = logging.getLogger(__name__)

PROBABILITY_DECIMALS = 6
REVIEW_BATCH_ROWS = 500  # well below the variables that one SQLite statement may have
_ONE_AT_A_TIME = threading.Lock()  # each network running at once would keep its own memory
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def classify_upload(
    recognizer: Recognizer, data: bytes, *, visitor_id: uuid.UUID | None
) -> Prediction:
    """Decode, classify and store one uploaded picture; return its saved prediction.

    What is stored is a re-encoded copy without metadata, under the prediction's own id.
    File and row appear together or not at all.

    Raises:
        ApplicationError: the picture is refused, nothing can classify it, the server is busy
            or the disk is full; nothing was stored.
    """
    served = serving.registry.classifier(recognizer.slug)
    classifier = served.classifier
    started_s = time.perf_counter()
    try:
        upload = serving.decode(data, classifier.preprocessing)
    except ImageError as error:
        raise image_refusal(error) from None
    with _ONE_AT_A_TIME:
        result = classifier.classify(upload.prepared.pixels)
    duration_ms = (time.perf_counter() - started_s) * 1000

    prediction_id = uuid.uuid4()
    probabilities, ranking = ranked(result)
    best = ranking[0]
    second = probabilities[ranking[1]] if len(ranking) > 1 else 0.0
    answer = answer_of(result)
    prediction = Prediction(
        id=prediction_id,
        recognizer=recognizer,
        model_version_id=served.version_id,
        visitor_id=visitor_id,
        picture=f"pictures/{prediction_id.hex[:2]}/{prediction_id}.jpg",
        picture_sha256=hashlib.sha256(upload.copy_jpeg).hexdigest(),
        width_px=upload.copy_width_px,
        height_px=upload.copy_height_px,
        probabilities=probabilities,
        label=result.labels[best],
        probability=probabilities[best],
        margin=round(probabilities[best] - second, PROBABILITY_DECIMALS),
        answer=answer.kind if answer else "",
        set_level=answer.level if answer else None,
        set_size=len(answer.labels) or None if answer else None,
        novelty=result.novelty,
        novelty_threshold=result.novelty_threshold,
        activation_map=(
            None if result.activation is None else activation_map(result.activation, best)
        ),
        activation_region=list(upload.prepared.region),
        duration_ms=round(duration_ms, 2),
    )
    _store(prediction, upload.copy_jpeg)
    return prediction


def ranked(result: Classification) -> tuple[list[float], list[int]]:
    """Return the probabilities to store, by class, and the classes from the best on.

    The order is that of `Prediction.top_classes`, which sees the rounded values only.
    """
    probabilities = [
        min(1.0, max(0.0, round(float(p), PROBABILITY_DECIMALS))) for p in result.probabilities
    ]
    labels = result.labels
    ranking = sorted(range(len(labels)), key=lambda index: (-probabilities[index], labels[index]))
    return probabilities, ranking


def _store(prediction: Prediction, copy_jpeg: bytes) -> None:
    """Write the picture's file, then its row; leave neither where one of them fails."""
    path = prediction.picture_path
    try:
        _write_file(path, copy_jpeg)
        with transaction.atomic():
            prediction.save(force_insert=True)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise StorageFullError from error
        if isinstance(error, OperationalError):
            raise database_refusal(error) from error
        raise


def _write_file(path: Path, data: bytes) -> None:
    """Write `path` so that no reader ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def delete_prediction(prediction: Prediction) -> None:
    """Delete the row with its reviews, and its picture once that is certain."""
    path = prediction.picture_path
    with transaction.atomic():
        prediction.delete()
        # A file without a row is an orphan that `check_storage` names; a row without its
        # file would be a broken page.
        transaction.on_commit(lambda: path.unlink(missing_ok=True), robust=True)


def suggest_label(prediction: Prediction, label: str) -> None:
    """Keep what the uploader says the right label is; it trains nothing until reviewed.

    Raises:
        ValidationError: `label` is none of the labels of the prediction's model version.
    """
    labels = prediction.model_version.labels
    if label not in labels:
        raise ValidationError(
            "Received %(label)r, which is not a label of this recognizer. Choose one of: "
            "%(labels)s.",
            code="unknown_label",
            params={"label": label[:MAX_LABEL_CHARS], "labels": ", ".join(labels)},
        )
    with transaction.atomic():
        row = Prediction.objects.select_for_update().get(pk=prediction.pk)
        if row.state == Prediction.State.PREDICTED:
            row.state = Prediction.State.SUGGESTED
        row.suggested_label = label
        row.save(update_fields=["state", "suggested_label"])
    prediction.state, prediction.suggested_label = row.state, row.suggested_label


def review_predictions(
    predictions: Iterable[Prediction], label: str | None, reviewer: AbstractBaseUser
) -> int:
    """Write a review for each prediction and settle its label; return how many.

    `label` may be one that the model version does not know: that is how a new class begins.
    None confirms what each prediction says now: its reviewed label, or else the network's.

    Raises:
        ValidationError: `label` is empty, too long or not printable.
    """
    if label is not None:
        label = _clean_label(label)
    written = 0
    with transaction.atomic():
        for ids in _batches((prediction.pk for prediction in predictions), REVIEW_BATCH_ROWS):
            rows = list(Prediction.objects.select_for_update().filter(pk__in=ids))
            reviews = []
            for row in rows:
                previous = row.current_label
                row.state = Prediction.State.REVIEWED
                row.reviewed_label = previous if label is None else label
                reviews.append(
                    Review(
                        prediction=row,
                        reviewer_id=reviewer.pk,
                        previous_label=previous,
                        label=row.reviewed_label,
                    )
                )
            Review.objects.bulk_create(reviews)
            Prediction.objects.bulk_update(rows, ["state", "reviewed_label"])
            written += len(reviews)
    return written


def _clean_label(label: str) -> str:
    label = label.strip()
    if not label or len(label) > MAX_LABEL_CHARS or not label.isprintable():
        raise ValidationError(
            "A label has 1 to %(limit)d printable characters; received %(length)d characters.",
            code="bad_label",
            params={"limit": MAX_LABEL_CHARS, "length": len(label)},
        )
    return label


def _batches(ids: Iterable[uuid.UUID], size: int) -> Iterator[list[uuid.UUID]]:
    iterator = iter(ids)
    while batch := list(islice(iterator, size)):
        yield batch
