"""What SQLite knows of its own tables, so that it chooses the right one of many indexes."""

from datetime import date
from functools import lru_cache
from typing import Final

from django.db import connection
from django.utils import timezone

from recognition.models import Prediction

WORTHWHILE: Final = 10_000  # predictions
ROWS_LOOKED_AT: Final = 20_000  # of each index: half a second where there are a million rows


def gather_statistics() -> bool:
    """Let SQLite look at samples of its indexes; return whether it did.

    Without statistics it takes every table for one of a million rows and every index for a good
    one, and reads a million rows where eleven are asked for by their ids. With those of a small
    table it would read all of it, and still do so when it has grown: so nothing is gathered
    below `WORTHWHILE` rows. Writers wait meanwhile, for less than a second. PostgreSQL does this
    by itself.
    """
    if connection.vendor != "sqlite" or not Prediction.objects.order_by()[WORTHWHILE:].exists():
        return False
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA analysis_limit = {ROWS_LOOKED_AT}")
        cursor.execute("ANALYZE")
    return True


def gather_daily() -> None:
    """Gather statistics once a day, however often it is called in a process."""
    _gather_on(timezone.now().date())


@lru_cache(maxsize=1)
def _gather_on(day: date) -> None:
    gather_statistics()
