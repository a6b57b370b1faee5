"""Deletion of uploads: the row, all that hangs on it, the file, and every copy within reach.

What a picture leaves: a receipt, which is a keyed hash of its id, and the names of the model
versions that learned from it, whose files and weights nobody can take it out of.
"""

import uuid
from collections.abc import Collection, Iterable
from http import HTTPStatus
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models, transaction
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from recognition import erasure_traces
from recognition.errors import ApplicationError
from recognition.models import ErasureReceipt, ModelVersion, Prediction, SnapshotItem, TrainingRun
from recognition.training_runs import request_training

RECEIPT_SALT: Final = "recognition.erasing"
BATCH_ROWS: Final = 200  # a transaction that long lets uploads in between
PICTURE_FILES: Final = ("report.html", "health.html", "augmented.jpg", "flips.json")
"""Those of a version that may show pictures of its data set."""


def delete_prediction(
    prediction: Prediction, *, cause: ErasureReceipt.Cause
) -> ErasureReceipt | None:
    """Delete one upload; return its receipt, or None for one that never was."""
    receipts = delete_predictions([prediction.pk], cause=cause)
    return receipts[0] if receipts else find_receipt(prediction.pk)


def delete_predictions(
    ids: Iterable[uuid.UUID], *, cause: ErasureReceipt.Cause
) -> list[ErasureReceipt]:
    """Delete uploads with all that hangs on them; return their receipts. Unknown ids are passed.

    `BATCH_ROWS` go in one transaction: rows first, then, once that is certain, files and copies.
    Those that cannot go yet, because a training reads them or this process dies, are written
    down, and go in the minutes after.
    """
    receipts, waiting = [], list(ids)
    for start in range(0, len(waiting), BATCH_ROWS):
        receipts += _delete_batch(waiting[start : start + BATCH_ROWS], cause)
    return receipts


def _delete_batch(ids: list[uuid.UUID], cause: ErasureReceipt.Cause) -> list[ErasureReceipt]:
    with transaction.atomic():
        rows = list(
            Prediction.objects.select_for_update()
            .filter(pk__in=ids)
            .only("id", "recognizer_id", "picture")
        )
        if not rows:
            return []
        found = [row.pk for row in rows]
        receipts = ErasureReceipt.objects.bulk_create(
            ErasureReceipt(recognizer_id=row.recognizer_id, receipt=receipt_of(row.pk), cause=cause)
            for row in rows
        )
        note_learned(found)
        Prediction.objects.filter(pk__in=found).delete()
        traces = erasure_traces.write_down({row.pk: row.picture for row in rows})
        transaction.on_commit(lambda: follow_up(traces), robust=True)
    return receipts


def follow_up(traces: erasure_traces.Traces) -> bool:
    """Remove what deleted uploads left behind; return False while a training still reads it.

    Until then the versions that such trainings make are added to the receipts.
    """
    gone = erasure_traces.remove(traces)
    note_learned(traces.pictures)
    if gone:
        traces.forget()
    return gone


def follow_up_all() -> int:
    """Finish every deletion that is not finished; return how many uploads still leave traces."""
    left = 0
    for traces in erasure_traces.unfinished():
        if not follow_up(traces):
            left += len(traces.pictures)
    return left


def receipt_of(prediction_id: uuid.UUID, *, secret: str | bytes | None = None) -> str:
    """Return the receipt of an upload: who knows its id and our secret key can make it again."""
    return salted_hmac(
        RECEIPT_SALT, str(prediction_id), secret=secret, algorithm="sha256"
    ).hexdigest()


def find_receipt(prediction_id: uuid.UUID) -> ErasureReceipt | None:
    """Return the receipt of a deleted upload, or None; former secret keys count while known."""
    secrets = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    receipts = [receipt_of(prediction_id, secret=secret) for secret in secrets]
    rows = ErasureReceipt.objects.select_related("recognizer")
    return rows.filter(receipt__in=receipts).first()


def gone(prediction_id: uuid.UUID) -> ApplicationError | None:
    """Return what to tell whoever asks for a deleted upload by its id; None for any other id."""
    receipt = find_receipt(prediction_id)
    if receipt is None:
        return None
    message = _(
        "This picture was deleted on %(time)s UTC (by: %(cause)s), and with it what was recognized "
        "and what people said of it. Receipt: %(receipt)s."
    ) % {
        "time": f"{receipt.erased_at:%Y-%m-%d %H:%M}",
        "cause": receipt.get_cause_display(),
        "receipt": receipt.receipt,
    }
    if versions := versions_that_learned([prediction_id]):
        numbers = ", ".join(str(version.number) for version in versions)
        message += " " + ngettext(
            "Version %(numbers)s had learned from it before.",
            "Versions %(numbers)s had learned from it before.",
            len(versions),
        ) % {"numbers": numbers}
    return ApplicationError("deleted", message, HTTPStatus.GONE)


def versions_that_learned(
    ids: Collection[uuid.UUID] | models.QuerySet[Prediction],
) -> list[ModelVersion]:
    """Return the versions trained, tuned or tested on one of the uploads, oldest first."""
    learned = _learned(ids).values_list("run__version_id", flat=True)
    versions = ModelVersion.objects.filter(pk__in=learned.distinct())
    return list(versions.select_related("recognizer").order_by("recognizer", "number"))


def retrain_without(receipt: ErasureReceipt, person: AbstractBaseUser) -> TrainingRun:
    """Ask for a training of the recognizer, whose pictures the deleted one is no longer among.

    Raises:
        ApplicationError: `training_under_way`.
    """
    return request_training(receipt.recognizer, cause=TrainingRun.Cause.ERASURE, person=person)


def picture_files(version: ModelVersion) -> list[str]:
    """Return the names of the version's files that may show pictures it learned from."""
    return [name for name in PICTURE_FILES if (version.path / name).is_file()]


def note_learned(ids: Iterable[uuid.UUID]) -> None:
    """Write the versions that learned from deleted uploads into their receipts; repeatable."""
    learned = list(_learned(ids).values_list("prediction_id", "run__version_id"))
    by_receipt = {receipt_of(prediction_id): prediction_id for prediction_id, _version in learned}
    rows = ErasureReceipt.objects.filter(receipt__in=list(by_receipt))
    receipts = {by_receipt[receipt.receipt]: receipt.pk for receipt in rows}
    through = ErasureReceipt.learned_versions.through
    through.objects.bulk_create(
        (
            through(erasurereceipt_id=receipts[prediction_id], modelversion_id=version_id)
            for prediction_id, version_id in learned
            if prediction_id in receipts
        ),
        ignore_conflicts=True,
    )


def _learned(
    ids: Iterable[uuid.UUID] | models.QuerySet[Prediction],
) -> models.QuerySet[SnapshotItem]:
    """Return the snapshot rows by which versions learned; one left out has no split."""
    among: Any = ids.values("pk") if isinstance(ids, models.QuerySet) else list(ids)
    rows = SnapshotItem.objects.filter(prediction_id__in=among, run__version__isnull=False)
    return rows.exclude(split="")
