"""Folders of trainings under way: what was asked of the child, and how far it has come."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from ml.errors import TrainingError
from ml.events import EVENTS_NAME

LOG_END_BYTES: Final = 8192
LOG_END_LINES: Final = 15


@dataclass(frozen=True, slots=True)
class Workspace:
    """`TRAINING_DIR/<name>`: specification, plan, checkpoint and events of one training."""

    path: Path

    @classmethod
    def named(cls, name: str) -> "Workspace":
        """Return the workspace of that name, which need not exist."""
        return cls(Path(settings.TRAINING_DIR) / name)

    @property
    def spec_path(self) -> Path:
        """What the child reads."""
        return self.path / "spec.json"

    @property
    def output(self) -> Path:
        """The finished version, which appears whole."""
        return self.path / "version"

    @property
    def events_path(self) -> Path:
        """What the child tells, see `ml.events`."""
        return self.path / EVENTS_NAME

    @property
    def log_path(self) -> Path:
        """What a child without a terminal prints."""
        return self.path / "log.txt"

    @property
    def can_resume(self) -> bool:
        """Whether a child has got so far here that another can go on."""
        return (self.path / "plan.json").exists() or any(self.path.glob("candidate-*/plan.json"))

    def end_of_log(self) -> str:
        """Return the last lines that a child without a terminal printed."""
        try:
            data = self.log_path.read_bytes()[-LOG_END_BYTES:]
        except FileNotFoundError:
            return ""
        # A bar is drawn over itself: what stands after its last return is what was seen.
        lines = [line.rpartition("\r")[2] for line in data.decode(errors="replace").split("\n")]
        return "\n".join(lines[-LOG_END_LINES:]).strip()

    def begin(self) -> None:
        """Make it empty."""
        self.remove()
        self.path.mkdir(parents=True)

    def remove(self) -> None:
        """Delete it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def spec(self) -> dict[str, Any]:
        """Return what the child was asked.

        Raises:
            TrainingError: `nothing_to_resume`, it was asked nothing.
        """
        try:
            spec: dict[str, Any] = json.loads(self.spec_path.read_text())
        except FileNotFoundError:
            raise TrainingError(
                "nothing_to_resume",
                f'There is no interrupted training of "{self.path.stem}" to resume. Run again '
                "without --resume.",
            ) from None
        return spec

    def write_spec(self, spec: Mapping[str, Any]) -> None:
        """Write what the child is asked, whole or not at all."""
        _write(self.spec_path, spec)

    def notes(self) -> dict[str, Any]:
        """Return what this side must remember: `run`, `incumbent`, and `finished` at the end."""
        try:
            notes: dict[str, Any] = json.loads((self.path / "run.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return notes

    def note(self, **values: Any) -> None:
        """Remember more, whole or not at all, so that a power failure does not undo it."""
        _write(self.path / "run.json", self.notes() | values)


def _write(path: Path, document: Mapping[str, Any]) -> None:
    part = path.with_suffix(".part")
    with part.open("w") as file:
        json.dump(document, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
