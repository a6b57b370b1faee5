"""The reviewed pictures of a training: which they were, and what each was used for.

There may be very many. They are written a part at a time, so that nobody who uploads a picture
meanwhile waits for the database; taken or assigned again, they come out the same.
"""

import csv
import gzip
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

from django.db import transaction

from recognition.models import REVIEWED_NAME, Prediction, SnapshotItem, TrainingRun

ROWS_AT_ONCE: Final = 500  # well below the variables that one SQLite statement may have

T = TypeVar("T")


def take(run: TrainingRun) -> list[Prediction]:
    """Write all pictures that reviewers have settled into the run's snapshot; return them.

    Only their id, label, picture and its digest are loaded.
    """
    while old := list(run.snapshot.values_list("pk", flat=True)[:ROWS_AT_ONCE]):
        run.snapshot.filter(pk__in=old).delete()
    settled = Prediction.objects.filter(recognizer=run.recognizer).reviewed().order_by()
    taken: list[Prediction] = []
    for ids in _parts(sorted(settled.values_list("pk", flat=True))):
        with transaction.atomic():  # what is reviewed anew meanwhile comes before it or after it
            rows = list(
                settled.filter(pk__in=ids).only("pk", "picture", "picture_sha256", "reviewed_label")
            )
            SnapshotItem.objects.bulk_create(
                SnapshotItem(
                    run=run,
                    prediction_id=row.pk,
                    picture_sha256=row.picture_sha256,
                    label=row.reviewed_label,
                )
                for row in rows
            )
        taken += rows
    return taken


def assign_splits(run: TrainingRun, directory: Path) -> None:
    """Write into the run's snapshot what the version in `directory` used each picture for.

    Those that the training left out, as unreadable or as copies of others, stay without.
    """
    by_split: dict[str, list[uuid.UUID]] = {}
    for prediction_id, split in _reviewed_splits(directory):
        by_split.setdefault(split, []).append(prediction_id)
    for split, ids in by_split.items():
        for part in _parts(ids):
            run.snapshot.filter(prediction_id__in=part).update(split=split)


def _reviewed_splits(directory: Path) -> Iterator[tuple[uuid.UUID, str]]:
    """Yield id and split of each reviewed picture that `examples.csv.gz` lists."""
    with gzip.open(directory / "examples.csv.gz", "rt", newline="") as file:
        for row in csv.DictReader(file):
            if row["name"].startswith(REVIEWED_NAME):
                yield uuid.UUID(row["name"].removeprefix(REVIEWED_NAME)), row["split"]


def _parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), ROWS_AT_ONCE):
        yield items[start : start + ROWS_AT_ONCE]
