"""Caches of decoded pictures: how they are filled, and which of them hold which picture.

Beside each cache lies a list of the names of its pictures, so that a deleted one can leave.
Needs no TensorFlow.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.dataset import Example, read_pixels
from ml.errors import TrainingError
from ml.parallel import on_all_cores
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


def fill_rows(
    cache: Path, preprocessing: Preprocessing, examples: Sequence[Example]
) -> Iterator[None]:
    """Decode and prepare the pictures and write each to its row of the array `cache`.

    Yields after each row.

    Raises:
        TrainingError: `data_changed`, a file has gone since the data set was read.
        ImageError: a file has changed since then and cannot be decoded.
    """
    try:
        yield from on_all_cores(partial(_fill_row, cache, preprocessing), list(enumerate(examples)))
    finally:
        _opened.cache_clear()


def _fill_row(cache: Path, preprocessing: Preprocessing, row: tuple[int, Example]) -> None:
    number, example = row
    if not example.path.exists():
        raise TrainingError(
            "data_changed",
            f"{example.name} was deleted while the training read the pictures. "
            "Run it again: it goes on without that one.",
        )
    _opened(cache)[number] = prepare(read_pixels(example), preprocessing).pixels


@lru_cache(maxsize=1)
def _opened(cache: Path) -> npt.NDArray[np.uint8]:
    """Return the array for writing; opening it takes longer than to fill a small row."""
    return np.lib.format.open_memmap(cache, "r+")


def _may_hold(cache: Path, wanted: set[str]) -> bool:
    try:
        with names_path(cache).open(encoding="utf-8") as lines:
            return any(line.rstrip("\n") in wanted for line in lines)
    except FileNotFoundError:
        return True  # made before caches had names, or dropped meanwhile
