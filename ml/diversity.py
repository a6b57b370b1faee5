"""Which of the uncertain pictures to look at first: those least like the ones looked at already.

Sorted by margin alone, a queue begins with fifty pictures of one awkward afternoon, and the
fiftieth teaches little that the first has not. Taken greedily by uncertainty × distance (k-center
greedy, Sener & Savarese 2018, weighted by the margin), each picture is unsure *and* new.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ml.sketch import SKETCH_BYTES, unpack

INCOMPARABLE: Final = 1.0  # distance to a picture of another space, or of one without a sketch


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One picture: how sure the network was of it, and where the picture lies for it."""

    margin: float  # 0 to 1: largest probability less the second
    space: int  # sketches are comparable within one space: the model version that made them
    sketch: bytes | None  # see `ml.sketch`


def pick(pool: Sequence[Point], seen: Sequence[Point], count: int) -> list[int]:
    """Return the indices in `pool` of the `count` pictures to look at next, the best first.

    Each is the one with the largest (1 - margin) × distance to the nearest picture that is in
    `seen` or was picked before it; ties go to the earlier in the pool. Deterministic.
    """
    unsure = np.array([1.0 - point.margin for point in pool], np.float32)
    spaces, sketches = _stack(pool)
    nearest = np.full(len(pool), np.inf, np.float32)  # nothing seen yet: all are equally new
    for point in seen:
        nearest = np.minimum(nearest, _distances(spaces, sketches, point))
    picked: list[int] = []
    left = np.ones(len(pool), bool)
    for _ in range(min(count, len(pool))):
        score = unsure * np.where(np.isinf(nearest), INCOMPARABLE, nearest)
        best = int(np.argmax(np.where(left, score, -1.0)))
        picked.append(best)
        left[best] = False
        nearest = np.minimum(nearest, _distances(spaces, sketches, pool[best]))
    return picked


def _stack(points: Sequence[Point]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the spaces (n,) and the sketches (n, 64) of the points, NaN where there is none."""
    spaces = np.array([point.space for point in points], np.int64)
    sketches = np.full((len(points), SKETCH_BYTES // 2), np.nan, np.float32)
    known = [index for index, point in enumerate(points) if point.sketch is not None]
    if known:
        sketches[known] = unpack([points[index].sketch or b"" for index in known])
    return spaces, sketches


def _distances(
    spaces: npt.NDArray[np.int64], sketches: npt.NDArray[np.float32], point: Point
) -> npt.NDArray[np.float32]:
    """Return how far each picture lies from `point`: `INCOMPARABLE` where nobody can tell."""
    if point.sketch is None:
        return np.full(len(spaces), INCOMPARABLE, np.float32)
    apart = np.linalg.norm(sketches - unpack([point.sketch]), axis=1)
    comparable = (spaces == point.space) & np.isfinite(apart)
    distances: npt.NDArray[np.float32] = np.where(comparable, apart, INCOMPARABLE).astype(
        np.float32
    )
    return distances
