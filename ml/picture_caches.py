"""Caches of decoded pictures: how a row is filled, and which of them hold which picture.

Beside each cache lies a list of the names of its pictures, so that a deleted one can leave.
Needs no TensorFlow.
"""

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np

from ml.dataset import Example, read_pixels
from ml.errors import TrainingError
from ml.preprocessing import Preprocessing, prepare

CACHE_PATTERN = "pictures-*.npy"


def names_path(cache: Path) -> Path:
    """Return where the names of a cache's pictures stand, one a line."""
    return cache.with_suffix(".names")


def write_names(cache: Path, names: Iterable[str]) -> None:
    """Write the names of a cache's pictures; before the cache itself, so that none is without."""
    lines = "".join(f"{' '.join(name.split())}\n" for name in names)
    names_path(cache).write_text(lines, encoding="utf-8")


def caches_with(cache_dir: Path, names: Collection[str]) -> list[Path]:
    """Return the caches that hold one of the pictures, or do not say what they hold."""
    wanted = set(names)
    return [path for path in sorted(cache_dir.glob(CACHE_PATTERN)) if _may_hold(path, wanted)]


def drop_cache(cache: Path) -> None:
    """Delete a cache and its names. A training that reads it keeps what it has mapped."""
    cache.unlink(missing_ok=True)
    names_path(cache).unlink(missing_ok=True)


def fill_row(cache: Path, preprocessing: Preprocessing, row: tuple[int, Example]) -> None:
    """Decode and prepare an example's picture and write it to its row of the array `cache`.

    Raises:
        TrainingError: `data_changed`, its file has gone since the data set was read.
        ImageError: its file has changed since then and cannot be decoded.
    """
    number, example = row
    if not example.path.exists():
        raise TrainingError(
            "data_changed",
            f"{example.name} was deleted while the training read the pictures. "
            "Run it again: it goes on without that one.",
        )
    pixels = prepare(read_pixels(example), preprocessing).pixels
    np.lib.format.open_memmap(cache, "r+")[number] = pixels


def _may_hold(cache: Path, wanted: set[str]) -> bool:
    try:
        with names_path(cache).open(encoding="utf-8") as lines:
            return any(line.rstrip("\n") in wanted for line in lines)
    except FileNotFoundError:
        return True  # made before caches had names, or dropped meanwhile
