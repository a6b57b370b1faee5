"""What a training tells whoever watches it: one JSON object a line, appended to a file.

The child that trains writes, its parent reads along; a line that a kill cut short is skipped.
Without a file to write to, nothing is written.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

EVENTS_NAME: Final = "events.jsonl"
STAGES: Final = ("reading", "decoding", "training", "exporting", "scoring", "writing")

Event = Mapping[str, Any]

_path: Path | None = None


def write_to(path: Path) -> None:
    """Let the events of this process go to the file, after those that stand in it."""
    global _path
    _path = path
    with path.open("ab") as file:
        file.write(b"\n")  # ends a line that was cut short


def say(text: str) -> None:
    """Print lines for people and tell them to the watcher."""
    print(text, flush=True)
    _append({"kind": "lines", "text": text})


def stage(name: str, **values: Any) -> None:
    """Tell that a stage begins; of "training" also `epochs`, how many there are to be."""
    _append({"kind": "stage", "name": name, **values})


def candidate(number: int, count: int) -> None:
    """Tell which of the candidates of a comparison is next, from 1."""
    _append({"kind": "candidate", "number": number, "count": count})


def epoch(row: Mapping[str, Any]) -> None:
    """Tell of an epoch that is done, as its history row."""
    _append({"kind": "epoch", "row": dict(row)})


def refusal(code: str, message: str) -> None:
    """Tell why the training cannot go on; a person can mend it."""
    _append({"kind": "refusal", "code": code, "message": message})


def read(path: Path, offset: int = 0) -> tuple[list[Event], int]:
    """Return the whole events after `offset` bytes, and the offset to go on from.

    A missing file has none.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    return [event for line in whole.splitlines() if (event := _parsed(line))], offset + len(whole)


def _append(event: Event) -> None:
    if _path is None:
        return
    with _path.open("ab") as file:
        file.write(json.dumps(event).encode() + b"\n")


def _parsed(line: bytes) -> Event | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
