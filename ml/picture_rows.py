"""Filling a cache of decoded pictures, on all cores.

Needs no TensorFlow, so that the processes that decode for a training start without it.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.dataset import Example, read_pixels
from ml.errors import TrainingError
from ml.parallel import on_all_cores
from ml.preprocessing import Preprocessing, prepare


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
