"""Where the network looked: class-activation maps, and their overlay for a picture.

Zhou, Khosla, Lapedriza, Oliva, Torralba: Learning Deep Features for Discriminative
Localization, CVPR 2016, arXiv:1512.04150: the last feature maps through the head's weights.
The map comes with the logits in one forward pass; no gradient is needed.
"""

import io
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

MAX_SIDE_PX = 4096  # stored copies stay below 1408; more would only cost memory
MAX_ALPHA = 170  # of 255: the picture shows through the hottest place
COLD = 0.1  # share of the strongest activation below which nothing is drawn

# Position (0 cold to 1 hot) → red, green, blue. Lightness rises all the way, so the order
# is read without telling hues apart, also by colour-blind people and in print.
_RAMP = (
    (0.00, (42, 12, 90)),
    (0.25, (124, 29, 111)),
    (0.50, (204, 62, 77)),
    (0.75, (247, 137, 33)),
    (1.00, (255, 240, 150)),
)


def activation_map(activation: npt.NDArray[np.float32], class_index: int) -> list[list[int]]:
    """Return how strongly each place speaks for a class: rows of whole numbers 0 to 255.

    What speaks against the class (below 0) counts as 0; the strongest place is 255. A map
    without any place for the class is all 0.

    Args:
        activation: float32 (h, w, n) of `ml.inference.Classification`.
        class_index: 0 to n - 1.

    Raises:
        ValueError: the wrong number of axes, or no such class.
    """
    if activation.ndim != 3 or not 0 <= class_index < activation.shape[2]:
        raise ValueError(
            f"activation must be (h, w, n) with n above {class_index}, received {activation.shape}."
        )
    heat = np.maximum(activation[:, :, class_index].astype(np.float64), 0)
    peak = heat.max()
    if peak > 0:
        heat = np.rint(heat * (255 / peak))
    rows: list[list[int]] = heat.astype(np.uint8).tolist()
    return rows


def overlay_png(
    rows: Sequence[Sequence[int]],
    region: tuple[float, float, float, float],
    width_px: int,
    height_px: int,
) -> bytes:
    """Return a PNG with transparency to lay over a picture: warm where the network looked.

    Args:
        rows: of `activation_map`, whole numbers 0 to 255.
        region: left, top, right, bottom of what the network saw, as fractions of the
            picture; beyond [0, 1] where the picture was padded. Outside it is transparent.
        width_px: of the picture that it will lie on, 1 to 4096.
        height_px: likewise.

    Raises:
        ValueError: rows of different lengths, values out of range, an empty region or size.
    """
    heat = _checked_heat(rows)
    left, top, right, bottom = region
    if not (all(map(math.isfinite, region)) and left < right and top < bottom):
        raise ValueError(
            f"region must be (left, top, right, bottom) of some area, received {region}."
        )
    if not (1 <= width_px <= MAX_SIDE_PX and 1 <= height_px <= MAX_SIDE_PX):
        raise ValueError(
            f"The overlay must measure 1 to {MAX_SIDE_PX} px a side, "
            f"received {width_px} × {height_px}."
        )
    down = _interpolation(height_px, heat.shape[0], top, bottom)
    across = _interpolation(width_px, heat.shape[1], left, right)
    indices = np.rint(down @ heat @ across.T).astype(np.uint8)
    # One byte a pixel and a palette of 256 colours with alpha: a quarter of RGBA's size.
    picture = Image.fromarray(indices)
    picture.putpalette(_palette().tobytes(), "RGBA")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def _checked_heat(rows: Sequence[Sequence[int]]) -> npt.NDArray[np.float64]:
    try:
        heat = np.asarray(rows, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError("rows must be equally long lists of whole numbers.") from error
    if heat.ndim != 2 or not heat.size or not (heat.min() >= 0 and heat.max() <= 255):
        raise ValueError(
            f"rows must be a table of whole numbers from 0 to 255, received shape {heat.shape}."
        )
    return heat


def _interpolation(length_px: int, cells: int, start: float, end: float) -> npt.NDArray[np.float64]:
    """Return (length_px, cells): how much each cell counts at each pixel of one axis.

    Linear between the centres of the cells, constant beyond the outer ones, nothing outside
    the region [start, end] (fractions of the axis).
    """
    fraction = (np.arange(length_px) + 0.5) / length_px
    place = np.clip((fraction - start) / (end - start) * cells - 0.5, 0, cells - 1)
    distance = np.abs(place[:, np.newaxis] - np.arange(cells))
    weights: npt.NDArray[np.float64] = np.maximum(1 - distance, 0)
    weights[(fraction < start) | (fraction > end)] = 0
    return weights


def _palette() -> npt.NDArray[np.uint8]:
    """Return (256, 4) red, green, blue, alpha by heat."""
    heat = np.linspace(0, 1, 256)
    positions = [position for position, _ in _RAMP]
    colors = np.array([color for _, color in _RAMP])
    channels = [np.interp(heat, positions, colors[:, channel]) for channel in range(3)]
    warmth = np.clip((heat - COLD) / (1 - COLD), 0, 1)
    palette = np.stack([*channels, MAX_ALPHA * warmth * (2 - warmth)], axis=1)
    return np.asarray(np.rint(palette), np.uint8)
