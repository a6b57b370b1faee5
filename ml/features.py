"""Transfer learning's two views of a network: its embeddings, and its top blocks alone."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ml.frozen import FrozenPart, frozen
from ml.progress import progress_bar

BATCH = 64
FEATURES_NAME = "features.npz"


def head_features(
    network: keras.Model,
    train: npt.NDArray[np.uint8],
    validation: npt.NDArray[np.uint8],
    *,
    workspace: Path,
    progress: bool = True,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the embeddings that the network's head sees, without dropout.

    Args: pictures (n, height, width, channels) and (m, …) uint8. Returns (n, depth) and
    (m, depth) float32. What lies in the `workspace` of the training is read; it appears
    there only when whole.
    """
    if known := read_features(workspace):
        return known
    total = len(train) + len(validation)
    embed_network = keras.Model(network.input, network.get_layer("embedding").output)
    with (
        frozen(embed_network) as embed,
        progress_bar(None, "Embedding", total, show=progress) as bar,
    ):
        features = _in_batches(embed, train, bar), _in_batches(embed, validation, bar)
    cache = workspace / FEATURES_NAME
    part = cache.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, allow_pickle=False, train=features[0], validation=features[1])
    part.replace(cache)
    return features


def read_features(
    workspace: Path,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
    """Return what `head_features` left in a training's workspace, or None."""
    try:
        with np.load(workspace / FEATURES_NAME, allow_pickle=False) as stored:
            return stored["train"], stored["validation"]
    except FileNotFoundError:
        return None


def split_at(network: keras.Model, first_trained: str) -> tuple[keras.Model, keras.Model]:
    """Split a network at a layer of its backbone: pictures → maps, and maps → logits.

    Both share the layers of `network`, so that training the second trains it. The layer
    `first_trained` must be the only way from the backbone's first half to its second. Batch
    normalisation of the second half is frozen, so that its statistics stay ImageNet's.
    """
    features = network.get_layer("features")
    backbone = features.get_layer("backbone")
    border = backbone.get_layer(first_trained).input
    image = keras.Input(network.input_shape[1:], dtype="uint8", name="image")
    scaled = features.get_layer("scaling")(image)
    bottom = keras.Model(image, keras.Model(backbone.input, border)(scaled), name="bottom")
    blocks = keras.Model(border, backbone.output)
    for layer in blocks.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    maps = keras.Input(border.shape[1:], name="maps")
    embedding = network.get_layer("embedding")(blocks(maps))
    return bottom, keras.Model(maps, network.get_layer("head")(embedding), name="top")


def through(part: FrozenPart, batches: tf.data.Dataset, shape: tuple[int, ...]) -> tf.data.Dataset:
    """Send the pictures of (pictures, truth, weights) batches through a frozen part.

    `shape` is that of one of its outputs.
    """

    def forward(images: Any, truth: Any, weights: Any) -> tuple[Any, Any, Any]:
        maps = tf.numpy_function(part, [images], tf.float32)
        return tf.ensure_shape(maps, (None, *shape)), truth, weights

    return batches.map(forward).prefetch(1)


def _in_batches(
    part: FrozenPart, pictures: npt.NDArray[np.uint8], bar: Any
) -> npt.NDArray[np.float32]:
    outputs = []
    for start in range(0, len(pictures), BATCH):
        outputs.append(part(pictures[start : start + BATCH]))
        bar.update(len(outputs[-1]))
    return np.concatenate(outputs)
