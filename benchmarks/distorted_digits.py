"""`python -m benchmarks.distorted_digits --data mnist.npz OUTPUT.npz`: digits moved about.

Each picture of MNIST is turned by up to 60°, made 0.7 to 1.2 times as large, sheared and
shifted on a canvas of 40×40, as the digits on which spatial transformers were shown
(Jaderberg et al. 2015): what a network that straightens its pictures must be better at. Written
in MNIST's own layout, training and test pictures kept apart; the same seed, the same pictures.
"""

import argparse
import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE_PX = 40
ROTATION_RAD = math.radians(60)
ZOOM = (0.7, 1.2)
SHEAR_RAD = 0.3
SHIFT_PX = 6.0

Pixels = npt.NDArray[np.uint8]


def main() -> None:
    """Read, distort and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="mnist.npz")
    parser.add_argument("--pictures", type=int, help="of the training pictures, from the first")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    with np.load(arguments.data, allow_pickle=False) as stored:
        kept = slice(arguments.pictures)
        np.savez(
            arguments.output,
            allow_pickle=False,
            x_train=distorted(stored["x_train"][kept], random),
            y_train=stored["y_train"][kept],
            x_test=distorted(stored["x_test"], random),
            y_test=stored["y_test"],
        )


def distorted(pictures: Pixels, random: np.random.Generator) -> Pixels:
    """Return each of (n, height, width) moved by a draw of its own, as (n, 40, 40)."""
    result = np.zeros((len(pictures), SIDE_PX, SIDE_PX), np.uint8)
    for row, pixels in enumerate(pictures):
        matrix = _output_to_input(pixels.shape, random)
        moved = Image.fromarray(pixels).transform(
            (SIDE_PX, SIDE_PX), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )
        result[row] = np.asarray(moved)
    return result


def _output_to_input(shape: tuple[int, ...], random: np.random.Generator) -> tuple[float, ...]:
    """Return the six numbers that take a place of the canvas to one of the picture."""
    angle = random.uniform(-ROTATION_RAD, ROTATION_RAD)
    shear = math.tan(random.uniform(-SHEAR_RAD, SHEAR_RAD))
    scale = 1 / random.uniform(*ZOOM)
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    a, b, c, d = cosine, cosine * shear - sine, sine, sine * shear + cosine
    shift_x, shift_y = random.uniform(-SHIFT_PX, SHIFT_PX, 2)
    from_x, from_y = SIDE_PX / 2 + shift_x, SIDE_PX / 2 + shift_y
    height, width = shape
    return (
        a, b, width / 2 - a * from_x - b * from_y,
        c, d, height / 2 - c * from_x - d * from_y,
    )  # fmt: skip


if __name__ == "__main__":
    main()
