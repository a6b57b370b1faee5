"""What is due from time to time: called each minute, by one worker at a time."""

from collections.abc import Callable
from typing import Final

from recognition.erasing import follow_up_all
from recognition.retention import delete_expired
from recognition.schedules import begin_due_trainings
from recognition.statistics import gather_daily

PERIODIC: Final[tuple[Callable[[], object], ...]] = (
    begin_due_trainings,
    delete_expired,
    follow_up_all,
    gather_daily,
)
