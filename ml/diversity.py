"""Which uncertain pictures to look at first, when many of them are nearly the same one.

The most uncertain pictures alone would be fifty frames of one blurred beetle: each further one
teaches less. So each pick weighs how unsure the network is by how far the picture lies from
those looked at already. Greedy choice of the farthest point keeps within a factor of two of the
best cover (Gonzalez 1985), and is what active learning calls a core-set (Sener & Savarese 2018).
NumPy only.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

UNKNOWN_DISTANCE: Final = 1.0  # of a picture to one it cannot be compared with, or to none

Floats = npt.NDArray[np.floating]


def spread(margins: Floats, sketches: Floats, seen: Floats, count: int) -> list[int]:
    """Return the positions of at most `count` pictures, in the order to look at them.

    Each is the one with the largest (1 - margin) × distance to the nearest picture that was
    seen or picked before it. Equal ones go by the smaller margin, then by their order, so that
    the same pictures always give the same answer.

    Args:
        margins: (n,), in [0, 1].
        sketches: (n, 64), see `ml.sketch.unpack`; a row of NaN is a picture without a sketch of
            this model version, at `UNKNOWN_DISTANCE` from any other.
        seen: (m, 64), those looked at lately; may be empty.
        count: how many to pick; all of them where there are fewer.

    Raises:
        ValueError: as many margins as sketches are needed.
    """
    if len(margins) != len(sketches):
        raise ValueError(f"Received {len(margins)} margins for {len(sketches)} sketches.")
    order = np.argsort(margins, kind="stable")
    doubts = 1 - np.asarray(margins, np.float64)[order]
    points = np.asarray(sketches, np.float64)[order]
    nearest = np.full(len(points), np.inf)
    for point in np.asarray(seen, np.float64):
        nearest = np.minimum(nearest, _distances(points, point))
    waiting = np.ones(len(points), bool)
    picked: list[int] = []
    for _turn in range(min(count, len(points))):
        reach = np.where(np.isinf(nearest), UNKNOWN_DISTANCE, nearest)
        best = int(np.argmax(np.where(waiting, doubts * reach, -1.0)))
        waiting[best] = False
        picked.append(int(order[best]))
        nearest = np.minimum(nearest, _distances(points, points[best]))
    return picked


def _distances(points: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> Floats:
    """Return the distance of each point (n, 64) to the other (64,)."""
    distances = np.sqrt(((points - other) ** 2).sum(axis=1))
    return np.where(np.isnan(distances), UNKNOWN_DISTANCE, distances)
