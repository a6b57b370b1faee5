"""A sheet of augmented pictures, so that people see what a network learned from."""

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ml.augmentation import augment, augmentation_named
from ml.config import TrainingConfig
from ml.images import encode_jpeg, resize
from ml.mixing import mix_pictures

ROWS, COLUMNS = 6, 8  # the first column is the picture itself
TILE_SIDE_PX = 96
GAP_PX = 4
BACKGROUND = 255


def augmentation_sheet(pictures: npt.NDArray[np.uint8], config: TrainingConfig) -> bytes:
    """Return a JPEG: a row for each of some pictures, first as it is, then as it was moved.

    Args: `pictures` (n, height, width, 1 or 3) uint8, n at least 1, of which at most `ROWS`
    are shown, evenly spread.
    """
    rows = np.linspace(0, len(pictures) - 1, min(ROWS, len(pictures))).round().astype(int)
    shown = pictures[rows]
    truth = np.eye(len(shown), dtype=np.float32)
    weights = np.ones(len(shown), np.float32)
    columns = [shown]
    for column in range(1, COLUMNS):
        key = tf.constant([config.seed, column], tf.int64)
        moved = augment(
            tf.constant(shown), augmentation_named(config.augmentation, mirror=config.mirror), key
        )
        columns.append(mix_pictures(moved, truth, weights, config.mix, key)[0].numpy())
    step = TILE_SIDE_PX + GAP_PX
    sheet = np.full((len(shown) * step + GAP_PX, COLUMNS * step + GAP_PX, 3), BACKGROUND, np.uint8)
    for x, column_pictures in enumerate(columns):
        for y, picture in enumerate(column_pictures):
            left, top = x * step + GAP_PX, y * step + GAP_PX
            colors = np.broadcast_to(picture, (*picture.shape[:2], 3))
            tile = resize(np.ascontiguousarray(colors), TILE_SIDE_PX, TILE_SIDE_PX)
            sheet[top : top + TILE_SIDE_PX, left : left + TILE_SIDE_PX] = tile
    return encode_jpeg(sheet)
