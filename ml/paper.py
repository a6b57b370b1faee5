"""What writing stands on: whether paper is dark or light, and how light at each place."""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ml.parts import connected_parts

Grey = npt.NDArray[np.uint8]

LEAST_INK_IN_DOUBT = 0.3  # of a tight crop's area
LARGEST_PIECE = 0.75  # of scattered paper
_PAPER_CELL_PX = 8  # of the overview: each cell gives one sample of the paper
_STROKE_CELLS = 7  # wider than a stroke; what is wider still is paper of another brightness


def light_on_dark(grey: Grey) -> tuple[Grey, int]:
    """Return the picture with its ink lighter than its paper, and the paper's level.

    The border counts as much as all the rest, because ink is rarer there: in a tight crop,
    strokes may fill half of the picture. The median of all that is paper; the third moment
    around it tells which side stands out further. No single pixel can sway either. Strokes so
    heavy that little paper is left are told by how they hang together.
    """
    border_times = max(1, sum(grey.shape) // 8)
    border = (grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1])
    samples = np.concatenate((grey.ravel(), *border * border_times), dtype=np.int32)
    paper_level = int(np.partition(samples, samples.size // 2)[samples.size // 2])
    deviations = samples - paper_level
    inverted = int((deviations * deviations * deviations).sum(dtype=np.int64)) < 0
    signed, level = (255 - grey, 255 - paper_level) if inverted else (grey, paper_level)
    ink = signed > (level + int(signed.max())) // 2
    if _is_around_ink(ink):
        return 255 - signed, 255 - int(np.median(signed[ink]))
    return signed, level


def _is_around_ink(ink: npt.NDArray[np.bool_]) -> bool:
    """Return whether what looks like ink is the holes and corners that heavy strokes leave.

    In a tight crop, strokes can be more than half of the picture and of its border. They hang
    together then and reach all four sides, while the paper lies about them in pieces.
    """
    if ink.mean() <= LEAST_INK_IN_DOUBT:
        return False
    strokes = ~ink
    reaches = all(side.any() for side in (strokes[0], strokes[-1], strokes[:, 0], strokes[:, -1]))
    if not reaches or connected_parts(strokes).max() > 1:
        return False
    return bool(np.bincount(connected_parts(ink)[ink]).max() < LARGEST_PIECE * ink.sum())


def ink_is_lighter(overview: Grey) -> bool:
    """Return whether the ink is lighter than its paper, under light that may be uneven.

    As in `light_on_dark` the third moment tells, here around the paper's level in three
    surroundings of every pixel: near, half the picture, and all of it. A shadow misleads the
    widest, a table beside the paper the narrower ones; each votes by how one-sided it is.
    """
    levels = overview.astype(np.int64)
    cells = _cell_medians(overview)
    size = (overview.shape[1], overview.shape[0])
    surroundings: list[Grey | int] = [int(np.median(overview))]
    for width_cells in (_STROKE_CELLS, 2 * _STROKE_CELLS + 1):
        medians = cells.filter(ImageFilter.MedianFilter(width_cells))
        surroundings.append(np.asarray(medians.resize(size, Image.Resampling.BICUBIC)))
    votes = 0.0
    for paper in surroundings:
        cubes = (levels - paper) ** 3
        votes += float(cubes.sum()) / max(1.0, float(np.abs(cubes).sum()))
    return votes >= 0


def local_paper(signed: Grey) -> Grey:
    """Return the level of the paper (dark here) under each pixel of the overview.

    A morphological opening of the cells' medians takes away whatever is lighter than its
    surroundings and narrower than a few cells: the strokes.
    """
    cells = _cell_medians(signed).filter(ImageFilter.MinFilter(_STROKE_CELLS))
    cells = cells.filter(ImageFilter.MaxFilter(_STROKE_CELLS))
    size = (signed.shape[1], signed.shape[0])
    return np.asarray(cells.resize(size, Image.Resampling.BICUBIC))


def _cell_medians(overview: Grey) -> Image.Image:
    """Return the overview with one pixel for each cell: the median, which noise cannot sway."""
    side_px = _PAPER_CELL_PX
    rows, columns = (max(1, round(side / side_px)) for side in overview.shape)
    whole = Image.fromarray(overview).resize(
        (columns * side_px, rows * side_px), Image.Resampling.NEAREST
    )
    tiles = np.asarray(whole).reshape(rows, side_px, columns, side_px)
    samples = tiles.swapaxes(1, 2).reshape(rows, columns, -1)
    middle = samples.shape[2] // 2
    return Image.fromarray(np.partition(samples, middle, axis=2)[:, :, middle])
