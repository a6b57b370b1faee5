"""How far a training has come, from what its child tells, into its row about once a second."""

import logging
import math
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from django.db import OperationalError

from ml import events
from recognition.models import LOG_TAIL_CHARS
from recognition.training_runs import HeldRun

LOOK_INTERVAL_S: Final = 0.5
WRITE_INTERVAL_S: Final = 1.0
HEARTBEAT_S: Final = 15.0  # well within a lease

logger = logging.getLogger("lacewing.jobs")

stopping = threading.Event()
"""Set when this process is about to end: trainings are put back for the next worker."""


class TrainingCancelledError(Exception):
    """Somebody asked for the end of the training."""


class WorkerStoppingError(Exception):
    """This process ends; the training goes on in the next."""


class Progress:
    """What the events of a training amount to."""

    def __init__(self) -> None:
        self.stage = ""
        self.epochs: int | None = None
        self.refusal_code = ""
        self.refusal = ""
        self._candidate = 0
        self._log = ""
        self._rows: dict[tuple[int, str, int], dict[str, Any]] = {}

    @property
    def history(self) -> list[dict[str, Any]]:
        """A row for each epoch; one that was done twice has one row."""
        return list(self._rows.values())

    @property
    def log_tail(self) -> str:
        """The end of what was said."""
        return self._log

    def take(self, event: events.Event) -> None:
        """Take one event in; those of a kind that is not known are left alone."""
        kind = event.get("kind")
        if kind == "stage":
            self.stage = str(event["name"])
            self.epochs = event.get("epochs", self.epochs)
        elif kind == "candidate":
            self._candidate = int(event["number"])
        elif kind == "epoch":
            row = {key: _finite(value) for key, value in event["row"].items()}
            if self._candidate:
                row["candidate"] = self._candidate
            self._rows[self._candidate, str(row["phase"]), int(row["epoch"])] = row
        elif kind == "lines":
            self._log = f"{self._log}{event['text']}\n"[-LOG_TAIL_CHARS:]
        elif kind == "refusal":
            self.refusal_code, self.refusal = str(event["code"]), str(event["message"])

    def fields(self) -> dict[str, Any]:
        """Return it as fields of the row."""
        return {
            "stage": self.stage,
            "epochs": self.epochs,
            "history": self.history,
            "log_tail": self.log_tail,
        }


class Watch:
    """Reads along while a child works, and lets its run's row say so."""

    def __init__(self, held: HeldRun | None, events_path: Path) -> None:
        self.progress = Progress()
        self._held = held
        self._path = events_path
        self._offset = 0
        self._wrote_at_s = 0.0
        self._written: Mapping[str, Any] = {}
        self._read()
        self.progress.refusal_code = self.progress.refusal = ""  # of the child before
        self._epochs_before = len(self.progress.history)

    def look(self) -> None:
        """Take in what is new; write it if it is time.

        Raises:
            TrainingCancelledError: somebody asked for the end.
            WorkerStoppingError: this process ends.
            LeaseLostError: the run is no longer ours.
        """
        self._read()
        if self._held is None:
            return
        if stopping.is_set():
            raise WorkerStoppingError
        since_s = time.monotonic() - self._wrote_at_s
        if since_s < WRITE_INTERVAL_S:
            return
        try:
            if self._held.is_cancel_requested():
                raise TrainingCancelledError
            if self._changed() or since_s > HEARTBEAT_S:
                self.write()
        except OperationalError as error:  # a database that is busy is no reason to stop
            logger.warning("The progress of %s is not written yet: %s", self._held.run, error)
            self._wrote_at_s = time.monotonic()

    def write(self) -> None:
        """Write what is new.

        Raises:
            LeaseLostError: the run is no longer ours.
        """
        self._read()
        if self._held is None:
            return
        changed = self._changed()
        if len(self.progress.history) > self._epochs_before:
            changed["attempts"] = 0  # it gets further
        self._held.write(**changed)
        self._written = self.progress.fields()
        self._wrote_at_s = time.monotonic()

    def _changed(self) -> dict[str, Any]:
        fields = self.progress.fields()
        return {
            name: value
            for name, value in fields.items()
            if name not in self._written or self._written[name] != value
        }

    def _read(self) -> None:
        found, self._offset = events.read(self._path, self._offset)
        for event in found:
            self.progress.take(event)


def _finite(value: Any) -> Any:
    """Return the value, or None for a number that JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
