"""Letters as people write them, drawn here: what a recognizer of digits must not name.

Half are printed in whatever fonts the machine has, half are strokes with shaking hands; all
are tilted, sheared and stretched at random, black on white.
"""

import string
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

SIZE_PX = 112
FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSerif.ttf",
    "DejaVuSansMono.ttf",
    "LiberationSans-Regular.ttf",
    "LiberationSans-Italic.ttf",
    "LiberationSerif-Regular.ttf",
    "LiberationSerif-Italic.ttf",
    "LiberationMono-Regular.ttf",
)
LOOKALIKES = frozenset("BDGIJOQSZbgijloqsz")
"""Letters that people themselves take for a digit when they stand alone."""

# Corners of each stroke, in a square with (0, 0) at the top left.
_STROKES: dict[str, str] = {
    "A": "0,1 .5,0 1,1/.2,.6 .8,.6",
    "B": "0,1 0,0 .7,.05 .8,.25 .65,.45 0,.48/.65,.45 .95,.7 .75,.95 0,1",
    "C": ".95,.15 .6,0 .2,.15 0,.5 .2,.85 .6,1 .95,.85",
    "D": "0,0 0,1 .6,.95 .95,.5 .6,.05 0,0",
    "E": ".9,0 0,0 0,1 .9,1/0,.5 .7,.5",
    "F": ".9,0 0,0 0,1/0,.5 .7,.5",
    "G": ".95,.15 .55,0 .15,.15 0,.5 .15,.85 .55,1 .95,.85 .95,.55 .6,.55",
    "H": "0,0 0,1/1,0 1,1/0,.5 1,.5",
    "I": ".5,0 .5,1",
    "J": ".8,0 .8,.75 .6,.97 .3,.97 .1,.75",
    "K": "0,0 0,1/.9,0 0,.55/.25,.42 .95,1",
    "L": "0,0 0,1 .9,1",
    "M": "0,1 .05,0 .5,.7 .95,0 1,1",
    "N": "0,1 0,0 1,1 1,0",
    "O": ".5,0 .15,.15 0,.5 .15,.85 .5,1 .85,.85 1,.5 .85,.15 .5,0",
    "P": "0,1 0,0 .7,.03 .92,.25 .7,.5 0,.53",
    "Q": ".5,0 .15,.15 0,.5 .15,.85 .5,1 .85,.85 1,.5 .85,.15 .5,0/.6,.7 1,1.05",
    "R": "0,1 0,0 .7,.03 .9,.25 .7,.48 0,.5/.4,.5 .95,1",
    "S": ".95,.12 .55,0 .15,.12 .12,.35 .85,.62 .9,.85 .5,1 .05,.88",
    "T": "0,0 1,0/.5,0 .5,1",
    "U": "0,0 0,.7 .25,1 .75,1 1,.7 1,0",
    "V": "0,0 .5,1 1,0",
    "W": "0,0 .25,1 .5,.3 .75,1 1,0",
    "X": "0,0 1,1/1,0 0,1",
    "Y": "0,0 .5,.5 1,0/.5,.5 .5,1",
    "Z": "0,0 1,0 0,1 1,1",
}

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]


def draw_letters(n: int, seed: int) -> tuple[list[str], list[Pixels]]:
    """Return n letters and their pictures, uint8 (112, 112, 3), each half of them."""
    rng = np.random.default_rng(seed)
    letters, pictures = [], []
    for index in range(n):
        if index % 2:
            letter = str(rng.choice(list(_STROKES)))
            drawn = _written(letter, rng)
        else:
            letter = str(rng.choice(list(string.ascii_letters)))
            drawn = _printed(letter, rng)
        letters.append(letter)
        pictures.append(np.repeat(np.asarray(drawn)[:, :, np.newaxis], 3, axis=2))
    return letters, pictures


def _matrix(rng: np.random.Generator) -> Points:
    """Return a random tilt, shear and stretch, (2, 2)."""
    angle, shear = rng.uniform(-0.25, 0.25), rng.uniform(-0.3, 0.3)
    stretch = rng.uniform(0.75, 1.2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(turn @ np.array([[stretch, shear], [0, 1.0]]))


def _written(letter: str, rng: np.random.Generator) -> Image.Image:
    picture = Image.new("L", (SIZE_PX, SIZE_PX), 255)
    pen = ImageDraw.Draw(picture)
    matrix = _matrix(rng)
    width_px = int(rng.integers(4, 11))
    for stroke in _STROKES[letter].split("/"):
        points = np.array([tuple(map(float, point.split(","))) for point in stroke.split()])
        points = points + rng.normal(0, 0.025, points.shape)
        placed = (points - 0.5) * (44, 60) @ matrix.T + SIZE_PX / 2
        corners = [(float(x), float(y)) for x, y in placed]
        pen.line(corners, fill=0, width=width_px, joint="curve")
        for x, y in (corners[0], corners[-1]):
            radius = width_px / 2
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
    return picture


def _printed(letter: str, rng: np.random.Generator) -> Image.Image:
    fonts = _fonts()
    font = fonts[int(rng.integers(len(fonts)))]
    picture = Image.new("L", (SIZE_PX, SIZE_PX), 255)
    ImageDraw.Draw(picture).text((SIZE_PX / 2, SIZE_PX / 2), letter, 0, font, anchor="mm")
    matrix = np.linalg.inv(_matrix(rng))
    shift = SIZE_PX / 2 - matrix @ (SIZE_PX / 2, SIZE_PX / 2)
    coefficients = (*matrix[0], shift[0], *matrix[1], shift[1])
    return picture.transform(
        picture.size,
        Image.Transform.AFFINE,
        [float(value) for value in coefficients],
        Image.Resampling.BILINEAR,
        fillcolor=255,
    )


@lru_cache(maxsize=1)
def _fonts() -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, ...]:
    """Return those of `FONTS` that are installed, and Pillow's own, which always is."""
    found: list[ImageFont.FreeTypeFont | ImageFont.ImageFont] = [ImageFont.load_default(72)]
    for name in FONTS:
        try:
            found.append(ImageFont.truetype(name, 72))
        except OSError:
            continue
    return tuple(found)
