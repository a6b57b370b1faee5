"""Digits drawn by a made-up hand on made-up paper: pictures that anybody may show."""

from io import BytesIO
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH_PX, HEIGHT_PX = 500, 380
SCALE = 2  # drawn larger and shrunk, for soft edges

Point = tuple[float, float]

# Corners of the pen's way in a unit square, y downwards; the ways between are rounded.
STROKES: Final[dict[str, list[list[Point]]]] = {
    "0": [[(0.5, 0.02), (0.2, 0.1), (0.12, 0.5), (0.22, 0.92), (0.5, 0.98), (0.8, 0.9),
           (0.88, 0.5), (0.78, 0.08), (0.5, 0.02)]],
    "1": [[(0.3, 0.22), (0.52, 0.02), (0.52, 0.98)]],
    "2": [[(0.15, 0.25), (0.3, 0.03), (0.65, 0.02), (0.82, 0.28), (0.55, 0.6), (0.12, 0.97)],
          [(0.12, 0.97), (0.88, 0.95)]],
    "3": [[(0.18, 0.1), (0.5, 0.0), (0.8, 0.15), (0.72, 0.4), (0.45, 0.47)],
          [(0.45, 0.47), (0.8, 0.55), (0.86, 0.82), (0.5, 1.0), (0.14, 0.88)]],
    "4": [[(0.62, 0.02), (0.12, 0.66)], [(0.12, 0.66), (0.9, 0.64)], [(0.66, 0.36), (0.64, 0.98)]],
    "5": [[(0.85, 0.04), (0.3, 0.02)], [(0.3, 0.02), (0.22, 0.42)],
          [(0.22, 0.42), (0.6, 0.34), (0.86, 0.58), (0.78, 0.9), (0.45, 1.0), (0.12, 0.86)]],
    "6": [[(0.72, 0.03), (0.4, 0.18), (0.16, 0.6), (0.3, 0.97), (0.66, 0.97), (0.82, 0.7),
           (0.6, 0.5), (0.32, 0.56), (0.18, 0.7)]],
    "7": [[(0.14, 0.05), (0.86, 0.05)], [(0.86, 0.05), (0.5, 0.5), (0.38, 0.98)]],
    "8": [[(0.5, 0.47), (0.2, 0.3), (0.3, 0.04), (0.68, 0.03), (0.8, 0.28), (0.5, 0.47),
           (0.14, 0.7), (0.3, 0.98), (0.7, 0.98), (0.86, 0.72), (0.5, 0.47)]],
    "9": [[(0.8, 0.3), (0.6, 0.5), (0.28, 0.44), (0.2, 0.2), (0.42, 0.02), (0.7, 0.06),
           (0.82, 0.3), (0.74, 0.7), (0.6, 0.98)]],
    "scrawl": [[(0.05, 0.2), (0.9, 0.3), (0.1, 0.45), (0.95, 0.55), (0.05, 0.7), (0.9, 0.85)],
               [(0.3, 0.0), (0.35, 1.0)], [(0.7, 0.0), (0.6, 1.0)]],
}  # fmt: skip


def draw(what: str, generator: np.random.Generator, *, haste: float = 1) -> bytes:
    """Return a PNG of a digit, or of a scrawl, in a hand and a light of its own.

    The larger `haste`, the harder it is to read; at 3 people begin to disagree.
    """
    canvas = Image.new("L", (WIDTH_PX * SCALE, HEIGHT_PX * SCALE))
    pen = ImageDraw.Draw(canvas)
    slant, tilt = generator.uniform(-0.25, 0.1) * haste, generator.uniform(-0.1, 0.1) * haste
    turn = np.array([[1, slant], [tilt, 1]])
    size = np.array([generator.uniform(0.32, 0.44), generator.uniform(0.5, 0.62)])
    middle = 0.5 + generator.uniform(-0.08, 0.08, 2)
    side = np.array([HEIGHT_PX, HEIGHT_PX]) * SCALE
    offset = np.array([(WIDTH_PX - HEIGHT_PX) / 2, 0]) * SCALE
    width_px = int(generator.uniform(11, 18) * SCALE)
    for stroke in STROKES[what]:
        points = np.array(stroke) - 0.5 + generator.normal(0, 0.02 * haste, (len(stroke), 2))
        way = ((_rounded(points) @ turn.T) * size + middle) * side + offset
        pen.line([tuple(point) for point in way], 255, width_px, joint="curve")
        for x, y in (way[0], way[-1]):
            half = width_px / 2
            pen.ellipse((x - half, y - half, x + half, y + half), 255)
    soft = canvas.filter(ImageFilter.GaussianBlur(SCALE)).resize((WIDTH_PX, HEIGHT_PX))
    cover = np.asarray(soft, np.float32)[..., None] / 255
    y, x = np.mgrid[0:HEIGHT_PX, 0:WIDTH_PX]
    light = 1 - generator.uniform(0.05, 0.2) * (x / WIDTH_PX + y / HEIGHT_PX)[..., None] / 2
    paper = np.array([243, 240, 232]) * light + generator.normal(0, 2, (HEIGHT_PX, WIDTH_PX, 1))
    ink = np.array([(40, 44, 96), (30, 30, 34), (120, 36, 40)][generator.integers(3)])
    pixels = paper * (1 - cover) + ink * cover
    file = BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def _rounded(points: np.ndarray) -> np.ndarray:
    """Return the way with its corners cut (Chaikin), the ends kept. Shape (n, 2)."""
    for _ in range(3):
        early, late = points[:-1], points[1:]
        cut = np.stack([0.75 * early + 0.25 * late, 0.25 * early + 0.75 * late], 1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut, points[-1:]])
    return points
