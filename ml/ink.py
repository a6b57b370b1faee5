"""Writing becomes what MNIST is made of: light ink on black, one size, centred by its mass.

MNIST (LeCun, Bottou, Bengio and Haffner 1998, section III.A) fitted every digit into 20 × 20
pixels, aspect kept, and put its centre of mass at the centre of 28 × 28. The same is done
here to any drawing or photograph of one: dark on light or light on dark, off-centre, on paper
that is lit unevenly, drawn with a pen far thinner than MNIST's. Grey levels are kept.

1. Paper is what most of the picture and of its border is; ink is what stands out of it, on
   the side that stands out further. Under uneven light the paper is estimated place by place.
2. Specks, and dark surroundings that reach along the picture's edge, are left out.
3. The ink is cropped, scaled by area averaging and moved. Strokes far thinner than MNIST's
   are thickened to MNIST's median, before the scaling takes them away.
"""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ml.paper import ink_is_lighter, light_on_dark, local_paper
from ml.parts import connected_parts

Grey = npt.NDArray[np.uint8]
Region = tuple[float, float, float, float]
_Box = tuple[int, int, int, int]  # left, top, right, bottom

INK_SHARE = 20 / 28  # of the frame, for the long side of the ink, as in MNIST
THIN_STROKE = 1.5 / 28  # of the frame: thinner than 99 % of MNIST's strokes
USUAL_STROKE = 2.5 / 28  # of the frame: the median of MNIST's strokes
MIN_CONTRAST = 12  # grey levels: less is paper, not ink
MIN_SEPARATION = 4.0  # of ink from paper, in standard deviations of the paper

_EVEN_LONG_SIDE_PX = 64  # up to here a picture is a finished scan: its paper is one level
_OVERVIEW_LONG_SIDE_PX = 192  # where the ink lies is found on a small copy of a larger one
_CLOSE_LONG_SIDE_PX = 100  # the ink itself is looked at a little finer than it will be drawn
_SPECK_SHARE = 0.04  # of the largest part: less ink is a speck
_EDGE_SHARE = 0.25  # of a side of the picture: a part in longer contact with it is not writing
_FAINTEST = 26  # of 255: what belongs to the ink's bounding box
_UNSCALED = 0.06  # a size so little off is left alone, because resampling would blur it
_FINER = 4  # strokes are thickened on a grid so much finer than the frame's


def prepare_ink(
    grey: Grey, height_px: int, width_px: int, *, widest: float = 1.0
) -> tuple[Grey, Region]:
    """Return the ink of `grey` (h, w) as (height_px, width_px, 1) uint8, light on black.

    Ink no wider than high is drawn at most `widest` times as wide as high, in (0, 1], and wider
    ink is narrowed as ink as wide as high is.

    The region is what part of the picture the frame shows, as fractions of it. A picture
    without ink, or with less than shows at this size, gives a black frame.
    """
    found = _find_ink(grey)
    frame = np.zeros((height_px, width_px, 1), np.uint8)
    if found is None:
        return frame, (0.0, 0.0, 1.0, 1.0)
    ink, (left, top, right, bottom) = found
    fitted = _fit(ink, frame_px=min(height_px, width_px), widest=widest)
    rows, columns = fitted.shape
    mass = fitted.sum(dtype=np.int64)
    if not mass:
        return frame, (0.0, 0.0, 1.0, 1.0)
    down = float(fitted.sum(axis=1, dtype=np.int64) @ np.arange(rows)) / mass
    across = float(fitted.sum(axis=0, dtype=np.int64) @ np.arange(columns)) / mass
    first_row = min(max(round(height_px / 2 - down), 0), height_px - rows)
    first_column = min(max(round(width_px / 2 - across), 0), width_px - columns)
    frame[first_row : first_row + rows, first_column : first_column + columns, 0] = fitted
    pixel_width = (right - left) / columns
    pixel_height = (bottom - top) / rows
    return frame, (
        left - first_column * pixel_width,
        top - first_row * pixel_height,
        right + (width_px - columns - first_column) * pixel_width,
        bottom + (height_px - rows - first_row) * pixel_height,
    )


def _find_ink(grey: Grey) -> tuple[Grey, Region] | None:
    """Return the ink, cropped, light on black 0..255, and where it is as fractions."""
    height_px, width_px = grey.shape
    if max(grey.shape) <= _EVEN_LONG_SIDE_PX:
        signed, paper_level = light_on_dark(grey)
        return _cropped(_above(signed, paper_level), (0.0, 0.0, 1.0, 1.0))
    overview = _scaled(grey, min(1.0, _OVERVIEW_LONG_SIDE_PX / max(grey.shape)))
    inverted = not ink_is_lighter(overview)
    signed = 255 - overview if inverted else overview
    paper = local_paper(signed)
    ink = _above(signed, paper)
    threshold = _ink_threshold(ink)
    if threshold is None:
        return None
    writing = _writing(ink > threshold)
    box = _grown(_bounding_box(writing), by_px=3, within=writing.shape)
    left, top, right, bottom = box
    region = _fractions(box, writing.shape)
    source = (
        math.floor(region[0] * width_px),
        math.floor(region[1] * height_px),
        math.ceil(region[2] * width_px),
        math.ceil(region[3] * height_px),
    )
    close = grey[source[1] : source[3], source[0] : source[2]]
    close = _scaled(close, min(1.0, _CLOSE_LONG_SIDE_PX / max(close.shape)))
    size = (close.shape[1], close.shape[0])
    paper_close = _resized(paper[top:bottom, left:right], size)
    ink = _above(255 - close if inverted else close, paper_close)
    # A little beyond the writing, so that soft edges stay and specks beside it do not.
    near = Image.fromarray(writing[top:bottom, left:right].view(np.uint8) * 255)
    near = near.filter(ImageFilter.MaxFilter(5)).resize(size, Image.Resampling.BILINEAR)
    ink[np.asarray(near) < 128] = 0
    return _cropped(ink, _fractions(source, grey.shape))


def _above(signed: Grey, paper: Grey | int) -> Grey:
    level = np.uint8(paper) if isinstance(paper, int) else paper
    return np.maximum(signed, level) - level


def _ink_threshold(ink: Grey) -> int | None:
    """Return the level that best parts ink from paper (Otsu 1979), or None without ink."""
    counts = np.bincount(ink.ravel(), minlength=256).astype(np.float64)
    levels = np.arange(256.0)
    below = counts.cumsum()
    sum_below = (counts * levels).cumsum()
    total, total_sum = below[-1], sum_below[-1]
    above = total - below
    weights = below * above
    weights[weights == 0] = 1.0
    between = (total_sum * below - total * sum_below) ** 2 / weights
    threshold = int(between.argmax())
    if not 0 < below[threshold] < total:
        return None
    paper_mean = sum_below[threshold] / below[threshold]
    ink_mean = (total_sum - sum_below[threshold]) / above[threshold]
    square_below = (counts * levels**2)[: threshold + 1].sum() / below[threshold]
    spread = math.sqrt(max(0.0, square_below - paper_mean**2))
    if ink_mean - paper_mean < max(MIN_CONTRAST, MIN_SEPARATION * spread):
        return None
    return threshold


def _writing(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the mask without specks and without what lies along the picture's edge."""
    parts = connected_parts(mask)
    areas = np.bincount(parts.ravel())
    areas[0] = 0
    kept = areas > 0
    for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        kept &= np.bincount(edge, minlength=areas.size) <= _EDGE_SHARE * edge.size
    if not kept.any():
        kept = areas > 0
    kept &= areas >= _SPECK_SHARE * areas[kept].max()
    return kept[parts]


def _cropped(ink: Grey, within: Region) -> tuple[Grey, Region] | None:
    """Return the ink stretched to 0..255 and cropped to where there is any."""
    threshold = _ink_threshold(ink)
    if threshold is None:
        return None
    paper = ink[ink <= threshold]
    # Half of the noise lies below the paper's level and was cut off: of what is left, three
    # quarters lie under 0.674 standard deviations.
    noise = float(np.partition(paper, paper.size * 3 // 4)[paper.size * 3 // 4]) / 0.674
    floor = min(3 * noise, threshold / 2)
    ink = _stretched(ink, floor)
    box = _bounding_box(ink >= _FAINTEST)
    left, top, right, bottom = _fractions(box, ink.shape)
    width, height = within[2] - within[0], within[3] - within[1]
    region = (
        within[0] + left * width,
        within[1] + top * height,
        within[0] + right * width,
        within[1] + bottom * height,
    )
    return ink[box[1] : box[3], box[0] : box[2]], region


def _stretched(ink: Grey, floor: float = 0.0) -> Grey:
    """Return the ink with its full strokes at 255 and `floor` at 0."""
    if not ink.any():  # so little that nothing of it is left at this size
        return ink
    strokes = ink[ink > ink.max() // 2]
    full = float(np.partition(strokes, strokes.size * 3 // 4)[strokes.size * 3 // 4])
    if floor == 0 and full >= 250:
        return ink
    levels = (np.arange(256) - floor) * (255 / (full - floor))
    table: Grey = np.clip(levels, 0, 255).round().astype(np.uint8)
    return table[ink]


def _fit(ink: Grey, *, frame_px: int, widest: float) -> Grey:
    """Return the cropped ink at the size that MNIST has in a frame of `frame_px`."""
    long_side_px = max(1, round(INK_SHARE * frame_px))
    height, width = ink.shape
    share = min(1.0, widest / min(width / height, 1.0))
    sides = (float(height), width * share)
    scale = long_side_px / max(sides)
    growth_px = USUAL_STROKE * frame_px - _stroke_px(ink) * scale
    if growth_px < (USUAL_STROKE - THIN_STROKE) * frame_px:
        if share == 1 and abs(scale - 1) <= _UNSCALED and max(sides) <= frame_px:
            return ink
        return _drawn(ink, sides, scale)
    growth_px = min(growth_px, long_side_px / 2)
    return _drawn(ink, sides, (long_side_px - growth_px) / max(sides), growth_px=growth_px)


def _drawn(ink: Grey, sides: tuple[float, float], scale: float, *, growth_px: float = 0.0) -> Grey:
    """Return the ink at `scale` of the sides, strokes thickened and all grown by `growth_px`."""
    rows, columns = (max(1, round(side * scale + growth_px)) * _FINER for side in sides)
    margin = round(growth_px * _FINER / 2)
    inner = (max(1, columns - 2 * margin), max(1, rows - 2 * margin))
    fine = _resized(ink, inner)
    if margin:
        fine = _thickened(np.pad(fine, margin), margin)
    return _stretched(np.asarray(Image.fromarray(fine).reduce(_FINER)))


def _stroke_px(ink: Grey) -> float:
    """Estimate the strokes' width: twice the ink's area over the length of its outline.

    The outline is the grey levels' total variation along rows and columns, times π/4 because
    an outline of any direction crosses rows and columns 4/π times its length on average.
    """
    signed = ink.astype(np.int16)
    down, across = signed[1:] - signed[:-1], signed[:, 1:] - signed[:, :-1]
    variation = int(np.abs(down).sum()) + int(np.abs(across).sum())
    variation += int(signed[0].sum()) + int(signed[-1].sum())
    variation += int(signed[:, 0].sum()) + int(signed[:, -1].sum())
    return 2 * int(signed.sum()) / (math.pi / 4 * variation)


def _thickened(ink: Grey, radius_px: int) -> Grey:
    """Return the ink dilated by a disc, on a canvas of the same size."""
    rows, columns = ink.shape
    padded = np.pad(ink, radius_px)
    thick = ink.copy()
    for down in range(-radius_px, radius_px + 1):
        reach = math.isqrt(radius_px**2 - down**2)
        for across in range(-reach, reach + 1):
            top, left = radius_px + down, radius_px + across
            np.maximum(thick, padded[top : top + rows, left : left + columns], out=thick)
    return thick


def _bounding_box(mask: npt.NDArray[np.bool_]) -> _Box:
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _grown(box: _Box, *, by_px: int, within: tuple[int, int]) -> _Box:
    left, top, right, bottom = box
    return (
        max(0, left - by_px),
        max(0, top - by_px),
        min(within[1], right + by_px),
        min(within[0], bottom + by_px),
    )


def _fractions(box: _Box, shape: tuple[int, ...]) -> Region:
    height_px, width_px = shape
    return box[0] / width_px, box[1] / height_px, box[2] / width_px, box[3] / height_px


def _scaled(grey: Grey, scale: float) -> Grey:
    height_px, width_px = grey.shape
    return _resized(grey, (max(1, round(width_px * scale)), max(1, round(height_px * scale))))


def _resized(grey: Grey, size: tuple[int, int]) -> Grey:
    """Resize to (width, height): the mean of the area when shrinking, else bilinear."""
    if grey.shape == (size[1], size[0]):
        return grey
    shrinks = size[0] <= grey.shape[1] and size[1] <= grey.shape[0]
    method = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(grey).resize(size, method))
