"""What crosses rows, disk and classifiers: uploads.

Views, the admin, the API and commands call these; the ones about model versions stand in
`recognition.versions`, those about reviews in `recognition.reviewing`, those about deletion in
`recognition.erasing`, and are offered here too.
"""

import errno
import hashlib
import logging
import random
import threading
import time
import uuid
from pathlib import Path

from django.db import OperationalError, transaction

from ml.answers import answer_of
from ml.errors import ImageError
from ml.explanation import activation_map
from ml.inference import Classification
from ml.sketch import sketch
from recognition import serving
from recognition.erasing import delete_prediction, delete_predictions
from recognition.errors import StorageFullError, database_refusal, image_refusal
from recognition.models import Embedding, Prediction, Recognizer
from recognition.reviewing import (
    NONE_OF_THESE,
    retract_review,
    review_predictions,
    suggest_label,
)
from recognition.versions import (
    activate_version,
    read_metrics,
    register_shipped,
    register_version,
    rollback,
    rollback_target,
)

__all__ = [
    "NONE_OF_THESE",
    "activate_version",
    "classify_upload",
    "delete_prediction",
    "delete_predictions",
    "read_metrics",
    "register_shipped",
    "register_version",
    "retract_review",
    "review_predictions",
    "rollback",
    "rollback_target",
    "suggest_label",
]

logger = logging.getLogger(__name__)

PROBABILITY_DECIMALS = 6
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
        is_audit=random.random() < recognizer.audit_share,  # noqa: S311 - a sample, no secret
    )
    _store(prediction, upload.copy_jpeg, sketch(result.embedding))
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


def _store(prediction: Prediction, copy_jpeg: bytes, embedding_sketch: bytes) -> None:
    """Write the picture's file, then its rows; leave neither where one of them fails."""
    path = prediction.picture_path
    try:
        _write_file(path, copy_jpeg)
        with transaction.atomic():
            prediction.save(force_insert=True)
            Embedding.objects.create(prediction=prediction, sketch=embedding_sketch)
            # Robust: whatever happens to the challenger, the upload is answered.
            transaction.on_commit(lambda: _show_to_challenger(prediction), robust=True)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise StorageFullError from error
        if isinstance(error, OperationalError):
            raise database_refusal(error) from error
        raise


def _show_to_challenger(prediction: Prediction) -> None:
    """Let a worker show the upload to the recognizer's challenger, if it has one."""
    if not prediction.recognizer.versions.filter(is_challenger=True).exists():
        return
    from recognition import jobs  # which call what calls this module

    jobs.predict_in_shadow.enqueue(str(prediction.pk))


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
