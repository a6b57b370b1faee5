"""Examples → a decode-once cache of uint8 arrays → batches with augmentation.

Pictures are decoded and resized once, in parallel, by the same functions that serve; the
result is a memory-mapped array that later epochs, phases and versions read. Augmentation
is one fused affine transform on a whole batch: a chain of Keras's random layers was
measured at a third of its speed.
"""

import hashlib
import json
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ml.dataset import Dataset, Example, read_pixels
from ml.preprocessing import Preprocessing, prepare
from ml.progress import progress_bar

CACHE_VERSION = 2  # raised when decoding or preparing comes out differently
KEPT_CACHES = 4  # the newest ones; a cache of 5,000 pictures at 224 px takes 750 MB

Batch = tuple[npt.NDArray[Any], npt.NDArray[np.float32], npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How far a training picture may be moved; every figure is the largest deviation."""

    rotation_rad: float = 0.0
    shear_rad: float = 0.0
    zoom: float = 0.0
    """Fraction of the size: 0.12 means between 0.88 and 1.12."""
    stretch: float = 0.0
    """Fraction by which one side grows while the other shrinks."""
    shift: float = 0.0
    """Fraction of the side."""
    mirror: bool = False
    brightness: float = 0.0
    """Fraction by which all values of a picture are multiplied, up or down."""


NO_AUGMENTATION = Augmentation()
PHOTOS = Augmentation(
    rotation_rad=0.25, zoom=0.2, stretch=0.06, shift=0.08, mirror=True, brightness=0.2
)
DRAWINGS = Augmentation(rotation_rad=0.16, shear_rad=0.15, zoom=0.06, stretch=0.12, shift=0.045)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureCache:
    """Prepared pictures of a data set, one row each, on disk."""

    directory: Path
    """Where it lies."""
    pictures: npt.NDArray[np.uint8]
    """(examples, height, width, channels), memory-mapped."""
    rows: dict[tuple[str, str], int]
    """(SHA-256, name) of an example → its row."""
    labels: tuple[str, ...]

    def of(
        self, examples: Sequence[Example]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
        """Return the pictures (n, height, width, channels) in memory and class indices (n,)."""
        rows = [self.rows[example.sha256, example.name] for example in examples]
        index = {label: position for position, label in enumerate(self.labels)}
        truth = np.array([index[example.label] for example in examples], np.int32)
        return self.pictures[rows], truth


def cache_pictures(
    dataset: Dataset, preprocessing: Preprocessing, *, cache_dir: Path, progress: bool = True
) -> PictureCache:
    """Decode and prepare every picture of `dataset` once, or find that this was done.

    The cache is keyed by the pictures' digests and the preprocessing; it appears under its
    name only when whole.
    """
    examples = sorted(dataset.examples, key=lambda example: (example.sha256, example.name))
    path = cache_dir / f"pictures-{_cache_key(examples, preprocessing)}.npy"
    if path.exists():
        os.utime(path)
    else:
        cache_dir.mkdir(parents=True, exist_ok=True)
        _fill(path, examples, preprocessing, progress=progress)
        _drop_old_caches(cache_dir)
    return PictureCache(
        directory=cache_dir,
        pictures=np.load(path, mmap_mode="r", allow_pickle=False),
        rows={(e.sha256, e.name): row for row, e in enumerate(examples)},
        labels=dataset.labels,
    )


def class_weights(truth: npt.NDArray[np.int32], classes: int) -> npt.NDArray[np.float32]:
    """Return one weight per class, inverse to its share, with a mean of 1 over the examples.

    A class with the average number of pictures weighs 1 (King & Zeng 2001, as in
    scikit-learn's "balanced"). Shape (classes,).
    """
    counts = Counter(truth.tolist())
    return np.array(
        [len(truth) / (classes * max(counts[index], 1)) for index in range(classes)], np.float32
    )


def training_batches(
    pictures: npt.NDArray[Any],
    truth: npt.NDArray[np.int32],
    weights: npt.NDArray[np.float32],
    *,
    batch_size: int,
    augmentation: Augmentation,
    seed: int,
    epoch: int,
) -> tf.data.Dataset:
    """Return one epoch of shuffled, augmented batches (pictures, one-hot truth, weights).

    `pictures` are uint8 (n, height, width, channels), or without augmentation any array
    whose rows are to be learned from.

    Order and augmentation depend on `seed` and `epoch` alone, so that a resumed epoch is
    the epoch that was lost. The last, smaller batch is left out unless it is the only one.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(truth))
    steps = max(1, len(order) // batch_size)
    one_hot = np.eye(len(weights), dtype=np.float32)

    def batches() -> Iterator[Batch]:
        for step in range(steps):
            rows = order[step * batch_size : (step + 1) * batch_size]
            yield pictures[rows], one_hot[truth[rows]], weights[truth[rows]]

    def augmented(
        step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        images, *rest = batch
        key = tf.stack([tf.constant(seed, tf.int64), epoch * 1_000_003 + step])
        return augment(images, augmentation, key), *rest

    data = tf.data.Dataset.from_generator(
        batches,
        output_signature=(
            tf.TensorSpec((None, *pictures.shape[1:]), pictures.dtype),
            tf.TensorSpec((None, len(weights)), tf.float32),
            tf.TensorSpec((None,), tf.float32),
        ),
    )
    if augmentation != NO_AUGMENTATION:
        data = data.enumerate().map(augmented, num_parallel_calls=2, deterministic=True)
    return data.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(2)


def augment(images: tf.Tensor, augmentation: Augmentation, key: tf.Tensor) -> tf.Tensor:
    """Move every picture of a batch at random: one affine resampling, then brightness.

    Args: `images` (batch, height, width, channels) uint8; `key` two int64, the seed.
    Returns the same shape and dtype. Corners that come into view repeat the edge.
    """
    batch = tf.shape(images)[0]
    height, width = images.shape[1], images.shape[2]
    draws = tf.unstack(
        tf.random.stateless_uniform((8, batch), key, minval=-1.0, maxval=1.0), axis=0
    )
    angle = draws[0] * augmentation.rotation_rad
    shear = draws[1] * augmentation.shear_rad
    zoom, stretch = 1.0 + draws[2] * augmentation.zoom, draws[3] * augmentation.stretch
    scale_x, scale_y = zoom + stretch, zoom - stretch
    if augmentation.mirror:
        scale_x *= tf.where(draws[4] < 0, -1.0, 1.0)
    # Output (x, y) → input, about the centre: rotation × shear × scale, then the shift.
    a = scale_x * tf.cos(angle)
    b = scale_y * (tf.cos(angle) * tf.tan(shear) - tf.sin(angle))
    c = scale_x * tf.sin(angle)
    d = scale_y * (tf.sin(angle) * tf.tan(shear) + tf.cos(angle))
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    shift_x = centre_x - a * centre_x - b * centre_y + draws[5] * augmentation.shift * width
    shift_y = centre_y - c * centre_x - d * centre_y + draws[6] * augmentation.shift * height
    zeros = tf.zeros_like(a)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.stack([a, b, shift_x, c, d, shift_y, zeros, zeros], axis=1),
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    if augmentation.brightness:
        moved *= tf.reshape(1.0 + draws[7] * augmentation.brightness, (-1, 1, 1, 1))
    return tf.cast(tf.clip_by_value(tf.round(moved), 0.0, 255.0), tf.uint8)


def _cache_key(examples: Sequence[Example], preprocessing: Preprocessing) -> str:
    """Digest of the pictures and of how they are prepared.

    Labels and splits are left out: they do not change a pixel, so that a review alone does
    not decode everything again.
    """
    recipe = {"version": CACHE_VERSION, **preprocessing.to_dict()}
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode())
    for example in examples:
        digest.update(f"{example.sha256}\0{example.name}\n".encode())
    return digest.hexdigest()[:24]


def _fill(
    path: Path, examples: Sequence[Example], preprocessing: Preprocessing, *, progress: bool
) -> None:
    channels = 3 if preprocessing.color == "rgb" else 1
    shape = (len(examples), preprocessing.height_px, preprocessing.width_px, channels)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        pictures = np.lib.format.open_memmap(part, "w+", np.uint8, shape)

        def fill_row(row: int) -> None:
            pictures[row] = prepare(read_pixels(examples[row]), preprocessing).pixels

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            rows = pool.map(fill_row, range(len(examples)))
            bar = progress_bar(rows, "Decoding", len(examples), show=progress)
            deque(bar, maxlen=0)
        pictures.flush()
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _drop_old_caches(cache_dir: Path) -> None:
    by_age = sorted(cache_dir.glob("*.npy"), key=lambda path: path.stat().st_mtime)
    for path in by_age[:-KEPT_CACHES]:
        path.unlink(missing_ok=True)
