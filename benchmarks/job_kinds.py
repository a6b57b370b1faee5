"""Jobs to try the worker with: each leaves one row and one file, however often it is done."""

import time
from pathlib import Path

from django.conf import settings
from django_tasks import task

from recognition.models import ErasureReceipt, Recognizer

WORK_S = 0.1


@task
def leave_a_mark(number: int) -> None:
    """Write the row and the file of this number."""
    time.sleep(WORK_S)
    directory = Path(settings.DATA_DIR) / "marks"
    directory.mkdir(exist_ok=True)
    (directory / str(number)).write_text("done")
    recognizer, _ = Recognizer.objects.get_or_create(slug="marks", defaults={"name": "Marks"})
    ErasureReceipt.objects.get_or_create(
        receipt=str(number), defaults={"recognizer": recognizer, "cause": "staff"}
    )


@task
def fail() -> None:
    """Fail as a job with a bug does."""
    raise ValueError("a bug")


def marks() -> list[int]:
    """Return the numbers that have a row."""
    return sorted(int(receipt.receipt) for receipt in ErasureReceipt.objects.all())
