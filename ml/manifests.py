"""A CSV file that says which picture carries which label, and perhaps what it is for."""

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.errors import DatasetError
from ml.folders import FolderIndex, LabelledFile, readable_name
from ml.splits import SPLITS, TRAIN_PART, Split

REQUIRED_COLUMNS = ("path", "label")
SPLIT_COLUMN = "split"
DELIMITERS = (",", ";", "\t")  # spreadsheets write semicolons where the comma is decimal

_SPLITS_BY_NAME: Mapping[str, Split] = {split: split for split in SPLITS}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One line after the header, checked."""

    line: int
    relative: Path
    """To the manifest's folder, without `..`."""
    label: str
    split: Split | None


def index_manifest(manifest: Path, source: str) -> FolderIndex:
    r"""List the pictures that a CSV file names, in order of label and name.

    Its first line names the columns: `path` and `label`, in any order, and if wanted `split`;
    others are ignored. Cells are separated by commas, semicolons or tabs, as in the header,
    and may be quoted. Paths are relative to the folder of the CSV, with `/` or `\`, and must
    not lead out of it. Where `split` says `train`, `validation` or `test` the picture goes
    there; an empty cell leaves that open. Without a single `validation`, a tenth of the
    pictures for training becomes that. Nothing is opened yet: missing files are found, and
    skipped, when they are read.

    Args:
        source: what people call the file; names begin with it.

    Raises:
        DatasetError: `bad_manifest`, naming the line, what it holds and what is allowed.
    """
    rows = _without_repeats(source, _rows(manifest, source))
    if not rows:
        raise _bad(source, "it names no picture; expected is one line for each")
    has_validation = any(row.split == "validation" for row in rows)
    files = [
        LabelledFile(
            path=manifest.parent.resolve() / row.relative,
            label=row.label,
            name=f"{source}/{readable_name(row.relative.as_posix())}",
            splits=_splits(row.split, has_validation=has_validation),
        )
        for row in rows
    ]
    return FolderIndex(
        labels=tuple(sorted({file.label for file in files})),
        files=tuple(sorted(files, key=lambda file: (file.label, file.name))),
        skipped=(),
    )


def _splits(split: Split | None, *, has_validation: bool) -> tuple[Split, ...]:
    if split is None:
        return SPLITS
    if split == "train" and not has_validation:
        return TRAIN_PART
    return (split,)


def _rows(manifest: Path, source: str) -> Iterator[_Row]:
    text = _text(manifest, source)
    header, _, _ = text.partition("\n")
    delimiter = max(DELIMITERS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    root = manifest.parent.resolve()
    try:
        columns = _columns(source, next(reader, []))
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield _row(source, reader.line_num, columns, cells, root)
    except csv.Error as error:
        raise _bad(source, f"line {reader.line_num} is no CSV: {error}") from error


def _text(manifest: Path, source: str) -> str:
    try:
        return manifest.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _bad(source, f"line {line} is not UTF-8; save the file as CSV in UTF-8") from error
    except OSError as error:
        raise _bad(source, f"it cannot be read: {error.strerror or error}") from error


def _columns(source: str, header: Sequence[str]) -> list[str]:
    columns = [cell.strip().casefold() for cell in header]
    for name in (*REQUIRED_COLUMNS, SPLIT_COLUMN):
        if columns.count(name) > 1:
            raise _bad(source, f"line 1 has the column {name!r} {columns.count(name)} times")
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    if missing:
        raise _bad(
            source,
            f"line 1 lacks {' and '.join(map(repr, missing))} and reads {list(header)!r}; expected "
            "are the names of the columns: path, label and, if wanted, split",
        )
    return columns


def _row(source: str, line: int, columns: list[str], cells: list[str], root: Path) -> _Row:
    if len(cells) != len(columns):
        raise _bad(
            source,
            f"line {line} has {len(cells)} cells, {cells!r}; the header has {len(columns)}. Put "
            "cells that hold the separator in double quotes",
        )
    row = dict(zip(columns, (cell.strip() for cell in cells), strict=True))
    for name in REQUIRED_COLUMNS:
        if not row[name]:
            raise _bad(source, f"line {line} has no {name}: {cells!r}")
    asked = row.get(SPLIT_COLUMN, "").casefold()
    if asked and asked not in _SPLITS_BY_NAME:
        raise _bad(
            source,
            f"line {line} has the split {row[SPLIT_COLUMN]!r}; allowed are {', '.join(SPLITS)}, or "
            "nothing",
        )
    return _Row(
        line=line,
        relative=_relative(source, line, row["path"], root),
        label=readable_name(row["label"]),
        split=_SPLITS_BY_NAME.get(asked),
    )


def _relative(source: str, line: int, written: str, root: Path) -> Path:
    """Return a path below `root`; `..` is resolved as written, links are not followed."""
    path = Path(os.path.normpath(root / written.replace("\\", "/")))
    if "\0" in written or path == root or not path.is_relative_to(root):
        raise _bad(
            source,
            f"line {line} has the path {written!r}, which is not inside the folder of {source}; "
            "expected are paths from that folder on, such as ants/1.jpg",
        )
    return path.relative_to(root)


def _without_repeats(source: str, rows: Iterator[_Row]) -> list[_Row]:
    """Return each picture once; twice with different words is a mistake."""
    first: dict[Path, _Row] = {}
    for row in rows:
        before = first.setdefault(row.relative, row)
        if (before.label, before.split) != (row.label, row.split):
            raise _bad(
                source,
                f"line {row.line} has {row.relative} as {_told(row)}, line {before.line} as "
                f"{_told(before)}. Keep one",
            )
    return list(first.values())


def _told(row: _Row) -> str:
    return f"{row.label!r} for {row.split}" if row.split else repr(row.label)


def _bad(source: str, what: str) -> DatasetError:
    return DatasetError("bad_manifest", f"{source}: {what}.")
