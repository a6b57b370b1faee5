"""Pictures made in memory that cost a decoder as much as photographs do."""

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

SIZE_PX = (1600, 1200)
TARGET_BYTES = 500_000
FALL_OFF = 0.8  # amplitude of an octave to that of the one before
COLOURED_OCTAVES = 5

Pixels = npt.NDArray[np.uint8]


def make_photo(seed: int) -> bytes:
    """Return a JPEG of 1600×1200 pixels and about 500 KB, in JPEG's usual 4:2:0.

    Like a photograph it has detail at every scale, falling off with frequency; of two
    qualities next to each other the one nearer to 500 KB is taken.
    """
    picture = Image.fromarray(_texture(np.random.default_rng(seed)))
    encoded = [_encode(picture, quality) for quality in range(70, 97, 3)]
    return min(encoded, key=lambda data: abs(len(data) - TARGET_BYTES))


def _texture(rng: np.random.Generator) -> Pixels:
    """Return (1200, 1600, 3) uint8: noise of octaves from a few pixels to the whole picture.

    Colour varies less than brightness and on larger scales only, as in photographs.
    """
    width_px, height_px = SIZE_PX
    total = np.zeros((height_px, width_px, 3), np.float32)
    for octave in range(9):
        rows = 3 * 2**octave
        is_coarse = octave < COLOURED_OCTAVES
        shape = (rows, rows * 4 // 3, 3) if is_coarse else (rows, rows * 4 // 3)
        noise = rng.integers(0, 256, shape, dtype=np.uint8)
        layer = Image.fromarray(noise).resize(SIZE_PX, Image.Resampling.BILINEAR)
        values = np.asarray(layer, np.float32).reshape(height_px, width_px, -1) - 128
        total += values * FALL_OFF**octave
    pixels: Pixels = np.clip(128 + total * 0.5, 0, 255).astype(np.uint8)
    return pixels


def _encode(picture: Image.Image, quality: int) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
