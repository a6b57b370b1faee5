"""Examples → a decode-once cache of uint8 arrays → batches with augmentation.

Pictures are decoded and resized once, in parallel, by the same functions that serve; the
result is a memory-mapped array that later epochs, phases and versions read.
"""

import hashlib
import json
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ml.augmentation import NO_AUGMENTATION, Augmentation, augment
from ml.dataset import Dataset, Example
from ml.mixing import Mix, mix_pictures
from ml.picture_caches import drop_cache, names_path, write_names
from ml.picture_rows import fill_rows
from ml.preprocessing import Preprocessing
from ml.progress import progress_bar

CACHE_VERSION = 2  # raised when decoding or preparing comes out differently
KEPT_CACHES = 4  # the newest ones; a cache of 5,000 pictures at 224 px takes 750 MB

Batch = tuple[npt.NDArray[Any], npt.NDArray[np.float32], npt.NDArray[np.float32]]


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
        return self.pictures[rows], self.truth_of(examples)

    def truth_of(self, examples: Sequence[Example]) -> npt.NDArray[np.int32]:
        """Return the class indices (n,) of examples."""
        index = {label: position for position, label in enumerate(self.labels)}
        return np.array([index[example.label] for example in examples], np.int32)

    def picture(self, example: Example) -> npt.NDArray[np.uint8]:
        """Return one prepared picture (height, width, channels)."""
        return np.asarray(self.pictures[self.rows[example.sha256, example.name]])


def cache_pictures(
    dataset: Dataset, preprocessing: Preprocessing, *, cache_dir: Path, progress: bool = True
) -> PictureCache:
    """Decode and prepare every picture of `dataset` once, or find that this was done.

    The cache is keyed by the pictures' digests and the preprocessing; it appears under its
    name only when whole.

    Raises:
        TrainingError: `data_changed`, a picture has gone since the data set was read.
        ImageError: a picture's file has changed since then and cannot be decoded.
    """
    examples = sorted(dataset.examples, key=lambda example: (example.sha256, example.name))
    path = cache_dir / f"pictures-{_cache_key(examples, preprocessing)}.npy"
    if path.exists():
        os.utime(path)
    else:
        cache_dir.mkdir(parents=True, exist_ok=True)
        write_names(path, (example.name for example in examples))
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
    side_px: int | None = None,
    mix: Mix = "none",
    seed: int,
    epoch: int,
) -> tf.data.Dataset:
    """Return one epoch of shuffled, augmented batches (pictures, one-hot truth, weights).

    `pictures` are uint8 (n, height, width, channels), or without augmentation any array
    whose rows are to be learned from. `side_px` is that of the augmented ones, by default
    that of the pictures.

    Order and augmentation depend on `seed` and `epoch` alone, so that a resumed epoch is
    the epoch that was lost. A batch larger than the whole set is the whole set; a last,
    smaller batch is left out.
    """
    batch_size = min(batch_size, len(truth))
    order = np.random.default_rng([seed, epoch]).permutation(len(truth))
    steps = len(order) // batch_size
    one_hot = np.eye(len(weights), dtype=np.float32)

    def batches() -> Iterator[Batch]:
        for step in range(steps):
            rows = order[step * batch_size : (step + 1) * batch_size]
            yield pictures[rows], one_hot[truth[rows]], weights[truth[rows]]

    def augmented(
        step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        images, shares, batch_weights = batch
        key = tf.stack([tf.constant(seed, tf.int64), epoch * 1_000_003 + step])
        if augmentation != NO_AUGMENTATION:
            images = augment(images, augmentation, key, side_px=side_px)
        return mix_pictures(images, shares, batch_weights, mix, key)

    data = tf.data.Dataset.from_generator(
        batches,
        output_signature=(
            tf.TensorSpec((None, *pictures.shape[1:]), pictures.dtype),
            tf.TensorSpec((None, len(weights)), tf.float32),
            tf.TensorSpec((None,), tf.float32),
        ),
    )
    if augmentation != NO_AUGMENTATION or mix != "none":
        data = data.enumerate().map(augmented, num_parallel_calls=2, deterministic=True)
    return data.apply(tf.data.experimental.assert_cardinality(steps)).prefetch(2)


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
        np.lib.format.open_memmap(part, "w+", np.uint8, shape).flush()
        rows = fill_rows(part, preprocessing, examples)
        deque(progress_bar(rows, "Decoding", len(examples), show=progress), maxlen=0)
        part.replace(path)
    except BaseException:
        names_path(path).unlink(missing_ok=True)
        raise
    finally:
        part.unlink(missing_ok=True)


def _drop_old_caches(cache_dir: Path) -> None:
    by_age = sorted(cache_dir.glob("*.npy"), key=lambda path: path.stat().st_mtime)
    for path in by_age[:-KEPT_CACHES]:
        drop_cache(path)
