"""Labelled pictures ready for training: each with a hash, a group and a split."""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ml.errors import DatasetError
from ml.health import HealthReport, SkippedFile
from ml.images import Pixels, decode_image
from ml.npz import read_npz
from ml.splits import SPLITS, Part, Split

UPLOAD_NAME = "prediction "  # and its id
CSV_COLUMNS = ("sha256", "label", "split", "group", "name")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\n", "\r")

_SPLITS_BY_NAME: Mapping[str, Split] = {split: split for split in SPLITS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One labelled picture."""

    name: str
    """For people: `pests/ants/1.jpg`, `mnist.npz[train 17]`, `prediction <uuid>`."""
    label: str
    sha256: str
    """Of the file; of shape and bytes for a row of an `.npz`."""
    path: Path
    index: int | None = None
    """Row of an `.npz`, in its part."""
    part: Part | None = None
    group: str
    """Smallest sha256 of its near-duplicate group."""
    split: Split

    @property
    def is_upload(self) -> bool:
        """Whether somebody uploaded it: its picture is theirs to have deleted."""
        return self.name.startswith(UPLOAD_NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The examples of one training, each picture once, sorted by label and name."""

    labels: tuple[str, ...]
    """Sorted; a label's position is its class index."""
    examples: tuple[Example, ...]
    skipped: tuple[SkippedFile, ...]
    health: HealthReport

    @property
    def fingerprint(self) -> str:
        """SHA-256 over what every picture is, is called and is used for, in any order."""
        lines = sorted(f"{e.sha256}\t{e.label}\t{e.split}\n" for e in self.examples)
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def counts(self) -> dict[str, dict[Split, int]]:
        """Return the number of pictures by label and split; each label has all three."""
        counts: dict[str, dict[Split, int]] = {
            label: dict.fromkeys(SPLITS, 0) for label in self.labels
        }
        for example in self.examples:
            counts[example.label][example.split] += 1
        return counts

    def of_split(self, split: Split) -> tuple[Example, ...]:
        """Return the examples of one split, in the order of `examples`."""
        return tuple(example for example in self.examples if example.split == split)


def read_pixels(example: Example) -> Pixels:
    """Return an example's picture as (height, width, 3) uint8, upright.

    Files are decoded as uploads are. Safe to call from several threads.

    Raises:
        ImageError: the file has changed since the dataset was loaded and cannot be decoded.
        DatasetError: the same of an `.npz`.
    """
    if example.part is None or example.index is None:
        return decode_image(example.path).pixels
    return read_npz(example.path).picture(example.part, example.index)


def write_examples_csv(dataset: Dataset) -> bytes:
    """Return a gzipped CSV of what each picture was used for, the same bytes every time.

    Rows of an `.npz` are left out: the file itself says what they are for. Cells that a
    spreadsheet would take for a formula begin with an apostrophe.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for example in dataset.examples:
        if example.part is None:
            row = (example.sha256, example.label, example.split, example.group, example.name)
            writer.writerow(map(_plain_cell, row))
    return gzip.compress(text.getvalue().encode(), mtime=0)


def read_known_splits(path: Path) -> dict[str, Split]:
    """Return sha256 → split as `write_examples_csv` wrote it.

    Raises:
        DatasetError: `bad_examples_file`, naming the line.
    """
    try:
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        rows = list(csv.reader(lines, strict=True))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError("bad_examples_file", f"{path} cannot be read: {error}.") from error
    if not rows or tuple(rows[0]) != CSV_COLUMNS:
        raise DatasetError(
            "bad_examples_file",
            f"{path} does not begin with the columns {','.join(CSV_COLUMNS)}.",
        )
    known: dict[str, Split] = {}
    for number, row in enumerate(rows[1:], start=2):
        split = _SPLITS_BY_NAME.get(row[2]) if len(row) == len(CSV_COLUMNS) else None
        if split is None:
            raise DatasetError(
                "bad_examples_file",
                f"{path}, line {number}: expected {len(CSV_COLUMNS)} cells with the split "
                f"({', '.join(SPLITS)}) in the third, received {row!r}.",
            )
        known[row[0]] = split
    return known


def _plain_cell(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
