"""The training pictures themselves: the nearest of them vote.

Cover & Hart 1967, "Nearest Neighbor Pattern Classification"; votes weighted by distance as
in Dudani 1976, "The Distance-Weighted k-Nearest-Neighbor Rule". Nothing is trained: the
pictures become constants of the network, averaged down to the largest size at which one has
at most 1,280 numbers and all together 12 million, which is 24 MB in the file; for l1, which
takes longer, 6 million. If they are too many even at 8×8, an even share of each class is
kept.

Input (batch, height, width, 1 or 3) uint8; output (batch, classes) logits, of which softmax
makes each class's share of the votes. The embedding is the row of pixels in 0..1. It has no
parameters to train; the numbers it remembers grow with the pictures: 787 for each at
28×28×1 up to 15,000 pictures, 1,203 at 160×160×3 up to 10,000. There are no feature maps, so
it gives no activation.

Options: `neighbours` that vote (5); `distance`: l2 (default) or l1.
"""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

from ml.architectures.options import NetworkOptions
from ml.architectures.pixels import MOST_NUMBERS, pixel_vector, size_within
from ml.architectures.requirements import require_no_weights
from ml.architectures.weights import Weights

NEIGHBOURS = 5
# Numbers: 24 MB in the file and 50 MB in memory; l1, which is no matrix product, is slower.
MOST_REMEMBERED = {"l2": 12_000_000, "l1": 6_000_000}
LEAST_SIDE_PX = 8
UNKNOWN_PICTURE = 128  # level of the one picture of each class before there are any
CHUNK_NUMBERS = 1 << 18  # differences held at once, which fit a processor's cache
PRIOR = 0.5  # of a vote, spread over all classes: no class is impossible
NEARNESS = 1e-3  # added to distances, so that equal pictures do not outvote all others
OPTIONS = frozenset({"neighbours", "distance"})


@keras.saving.register_keras_serializable(package="lacewing")
class NeighbourVotes(layers.Layer):  # type: ignore[misc]
    """Rows of pixels (batch, numbers) → logarithms of the share of votes (batch, classes)."""

    def __init__(
        self, remembered: int, classes: int, neighbours: int, distance: str, **arguments: Any
    ) -> None:
        super().__init__(trainable=False, dtype="float32", **arguments)
        self.remembered, self.classes = remembered, classes
        self.neighbours, self.distance = neighbours, distance

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make room for the pictures, the squares of their lengths, and their classes."""
        self.numbers = input_shape[-1] or 0
        self.pictures = self._room("pictures", (self.remembered, self.numbers))
        # In two parts: one float16 would blur the distances that are differences of them.
        self.squares = self._room("squares", (2, self.remembered))
        self.truth = self._room("truth", (self.remembered,), dtype="int32")

    def remember(self, rows: npt.NDArray[np.float32], truth: npt.NDArray[np.int32]) -> None:
        """Keep the rows (remembered, numbers) and their classes (remembered,).

        Both are kept as a float16 file holds them.
        """
        rows = rows.astype(np.float16).astype(np.float32)
        squares = np.square(rows).sum(axis=1)
        coarse = squares.astype(np.float16).astype(np.float32)
        self.pictures.assign(rows)
        self.squares.assign(np.stack([coarse, squares - coarse]))
        self.truth.assign(truth)

    def call(self, rows: Any) -> Any:
        """Let the nearest vote."""
        far = self._absolute(rows) if self.distance == "l1" else self._squared(rows)
        nearest, places = ops.top_k(-far, min(self.neighbours, self.remembered))
        distances = ops.maximum(-nearest, 0.0) / self.numbers
        if self.distance == "l2":
            distances = ops.sqrt(distances)
        distances = distances + NEARNESS
        weights = ops.min(distances, axis=1, keepdims=True) / distances
        voters = ops.one_hot(ops.take(self.truth, places, axis=0), self.classes, dtype="float32")
        votes = ops.sum(ops.expand_dims(weights, -1) * voters, axis=1)
        total = ops.sum(weights, axis=1, keepdims=True)
        return ops.log((votes + PRIOR / self.classes) / (total + PRIOR))

    def _squared(self, rows: Any) -> Any:
        """Return the sums of squared differences, (batch, remembered)."""
        lengths = ops.sum(ops.square(rows), axis=1, keepdims=True)
        products = ops.matmul(rows, ops.transpose(self.pictures))
        return (self.squares[0] - 2 * products + lengths) + self.squares[1]

    def _absolute(self, rows: Any) -> Any:
        """Return the sums of absolute differences, (batch, remembered)."""
        step = max(1, CHUNK_NUMBERS // self.numbers)
        asked = ops.expand_dims(rows, 1)
        parts = [
            ops.sum(ops.abs(self.pictures[start : start + step] - asked), axis=-1)
            for start in range(0, self.remembered, step)
        ]
        return ops.concatenate(parts, axis=1)

    def _room(self, name: str, shape: tuple[int | None, ...], dtype: str = "float32") -> Any:
        return self.add_weight(
            name=name, shape=shape, dtype=dtype, initializer="zeros", trainable=False
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        config = super().get_config()
        return {
            **{key: config[key] for key in ("name",)},
            "remembered": self.remembered,
            "classes": self.classes,
            "neighbours": self.neighbours,
            "distance": self.distance,
        }


def build(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build the network that has seen one grey picture of each class: it knows nothing.

    Raises TrainingError("bad_weights") unless `weights` is "none".
    """
    require_no_weights("nearest_neighbours", weights)
    pictures = np.full((classes, *input_shape), UNKNOWN_PICTURE, np.uint8)
    return memorise(pictures, np.arange(classes, dtype=np.int32), classes, options)


def memorise(
    pictures: npt.NDArray[np.uint8],
    truth: npt.NDArray[np.int32],
    classes: int,
    options: NetworkOptions,
) -> keras.Model:
    """Build the network that remembers pictures (n, height, width, channels) of classes (n,)."""
    shape, distance = pictures.shape[1:], options.distance or "l2"
    most = MOST_REMEMBERED[distance]
    smallest = size_within(shape, LEAST_SIDE_PX**2 * shape[2])
    kept = _even_share(truth, most // (smallest[0] * smallest[1] * shape[2]))
    image = keras.Input(shape, dtype="uint8", name="image")
    embedding = pixel_vector(
        image, most_numbers=min(MOST_NUMBERS, most // len(kept)), name="embedding"
    )
    votes = NeighbourVotes(
        len(kept),
        classes,
        options.neighbours or NEIGHBOURS,
        distance,
        name="logits",
    )
    head = keras.Sequential([keras.Input((embedding.shape[-1],)), votes], name="head")
    network = keras.Model(image, head(embedding), name="nearest_neighbours")
    rows = keras.Model(image, embedding).predict(pictures[kept], batch_size=1024, verbose=0)
    votes.remember(rows, truth[kept])
    return network


def _even_share(truth: npt.NDArray[np.int32], most: int) -> npt.NDArray[np.intp]:
    """Return the positions of at most about `most` pictures, spread evenly over each class."""
    share = min(1.0, most / len(truth))
    kept = [
        positions[
            np.linspace(0, len(positions) - 1, max(1, int(len(positions) * share))).astype(int)
        ]
        for positions in (np.flatnonzero(truth == label) for label in np.unique(truth))
    ]
    return np.sort(np.concatenate(kept))
