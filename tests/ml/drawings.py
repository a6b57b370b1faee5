"""Digits drawn with a round pen, and what cameras do to them."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Pixels = npt.NDArray[np.uint8]

# A seven and a two as lines in a unit square: (x, y), y downwards.
STROKES = {
    "2": [(0.1, 0.25), (0.3, 0.05), (0.6, 0.05), (0.8, 0.3), (0.5, 0.6), (0.1, 0.95), (0.9, 0.95)],
    "7": [(0.1, 0.05), (0.85, 0.05), (0.5, 0.5), (0.35, 0.95)],
}


def ink_of(
    digit: str,
    *,
    width_px: int = 400,
    height_px: int = 300,
    size_px: int = 120,
    pen_px: int = 14,
    left_px: int = 200,
    top_px: int = 60,
) -> npt.NDArray[np.float64]:
    """Return how much ink each pixel carries, 0 to 1, soft at the edges."""
    image = Image.new("L", (width_px, height_px))
    draw = ImageDraw.Draw(image)
    points = [(left_px + x * size_px, top_px + y * size_px) for x, y in STROKES[digit]]
    draw.line(points, 255, pen_px, joint="curve")
    for x, y in (points[0], points[-1]):
        half = pen_px / 2
        draw.ellipse((x - half, y - half, x + half, y + half), 255)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(0.8))) / 255.0


def picture(levels: npt.NDArray[np.float64], noise: float = 0.0) -> Pixels:
    """Return grey levels as an RGB picture, with noise of the given standard deviation."""
    grain = np.random.default_rng(11).normal(0, noise, levels.shape) if noise else 0.0
    grey = np.clip(levels + grain, 0, 255).round().astype(np.uint8)
    return np.repeat(grey[:, :, np.newaxis], 3, axis=2)


def likeness(one: Pixels, other: Pixels) -> float:
    """Return the correlation of two prepared pictures, 1 for the same.

    The best of one pixel's shift either way, because writing is placed by whole pixels.
    """
    return max(
        float(np.corrcoef(np.roll(one, (down, across), (0, 1)).ravel(), other.ravel())[0, 1])
        for down in (-1, 0, 1)
        for across in (-1, 0, 1)
    )
