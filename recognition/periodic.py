"""What is due from time to time: called each minute, by one worker at a time."""

from collections.abc import Callable
from typing import Final

from recognition.schedules import begin_due_trainings

PERIODIC: Final[tuple[Callable[[], None], ...]] = (begin_due_trainings,)
