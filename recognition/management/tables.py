"""How commands write tables: aligned for people, CSV for spreadsheets."""

import csv
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\0")


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as lines with aligned columns; a row may be shorter than others."""
    widths = [
        max(len(row[column]) for row in rows if column < len(row))
        for column in range(max(map(len, rows), default=0))
    ]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)


def printable(text: str) -> str:
    """Return the text in one line that no terminal takes for a command."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text.encode(errors="backslashreplace").decode()
    )


def guarded(cell: str) -> str:
    """Return a text cell that no spreadsheet takes for a formula (OWASP ASVS 1.2.10)."""
    return f"'{cell}" if cell.startswith(FORMULA_STARTS) else cell


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Yield a new path beside `path` that takes its place at the end.

    Where the block raises, `path` stays as it was and nothing else is left.
    """
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_csv(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write rows of guarded cells, whole or not at all.

    Raises:
        OSError: the place is not writable, or full; a file that stood there is unharmed.
    """
    with (
        replaced_file(path) as part,
        # A file name need not be text: what is not is written as \\xNN.
        part.open("x", encoding="utf-8", errors="backslashreplace", newline="") as file,
    ):
        csv.writer(file).writerows([guarded(cell) for cell in row] for row in rows)
        file.flush()
        os.fsync(file.fileno())
