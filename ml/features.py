"""A backbone's embeddings of every picture, computed once and kept on disk."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ml.progress import progress_bar

BATCH = 64


def head_features(
    network: keras.Model,
    pictures: npt.NDArray[np.uint8],
    *,
    cache: Path,
    mirror: bool,
    progress: bool = True,
) -> npt.NDArray[np.float32]:
    """Return the embeddings that the network's head sees, without dropout.

    Args: `pictures` (n, height, width, channels) uint8; with `mirror` the left-right mirror
    images follow the originals. Returns (n or 2n, depth) float32. `cache` belongs to one
    training: it is read when it is there and appears only when whole.
    """
    if cache.exists():
        return np.asarray(np.load(cache, allow_pickle=False))
    embed = keras.Model(network.input, network.get_layer("embedding").output)
    forward = tf.function(lambda batch: embed(batch, training=False), reduce_retracing=True)
    parts: list[npt.NDArray[Any]] = []
    total = len(pictures) * (2 if mirror else 1)
    with progress_bar(None, "Embedding", total, show=progress) as bar:
        for flipped in (False, True) if mirror else (False,):
            for start in range(0, len(pictures), BATCH):
                batch = pictures[start : start + BATCH]
                parts.append(forward(batch[:, :, ::-1] if flipped else batch).numpy())
                bar.update(len(batch))
    features = np.concatenate(parts).astype(np.float32)
    part = cache.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, features)
    part.replace(cache)
    return features
