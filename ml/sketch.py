"""A short sketch of an embedding, to tell like pictures from unlike ones by the thousand.

A random projection keeps the distances between unit vectors within a few percent (Johnson &
Lindenstrauss 1984; with signs only, Achlioptas 2003), at 128 bytes a picture instead of some
kilobytes. Sketches of one model version are comparable; those of two are not.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

SKETCH_NUMBERS = 64
SKETCH_BYTES = 2 * SKETCH_NUMBERS  # little-endian float16
_SEED = 20_221_122  # of the signs; another one would make old sketches useless


def sketch(embedding: npt.NDArray[np.floating]) -> bytes:
    """Return the sketch of one embedding (depth,), `SKETCH_BYTES` long.

    An embedding of zeros, or shorter than a sketch, is kept as it is in direction.
    """
    vector = np.asarray(embedding, np.float32).ravel()
    length = float(np.linalg.norm(vector))
    if length > 0:
        vector = vector / length
    projected = vector @ _signs(len(vector)) / np.sqrt(SKETCH_NUMBERS)
    packed: bytes = projected.astype("<f2").tobytes()
    return packed


def unpack(sketches: Sequence[bytes]) -> npt.NDArray[np.float32]:
    """Return sketches as float32 (n, 64).

    Raises:
        ValueError: one of them is not `SKETCH_BYTES` long.
    """
    for number, one in enumerate(sketches):
        if len(one) != SKETCH_BYTES:
            raise ValueError(f"A sketch has {SKETCH_BYTES} bytes; number {number} has {len(one)}.")
    packed = np.frombuffer(b"".join(sketches), "<f2")
    return packed.reshape(len(sketches), SKETCH_NUMBERS).astype(np.float32)


@lru_cache(maxsize=8)
def _signs(depth: int) -> npt.NDArray[np.float32]:
    """Return ±1 (depth, 64), the same in every process."""
    bits = np.random.Generator(np.random.PCG64(_SEED)).integers(0, 2, (depth, SKETCH_NUMBERS))
    return (bits * 2 - 1).astype(np.float32)
