"""Pictures as plain rows of numbers, for families that look at pixels one by one."""

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers, ops

MOST_NUMBERS = 1280  # like the largest embedding of a backbone: 35×35 grey, 20×20 in colour


@keras.saving.register_keras_serializable(package="lacewing")
class AreaPooling(layers.Layer):  # type: ignore[misc]
    """Average every picture down to a given size, whatever the ratio.

    A pixel that lies across two cells counts for each by its overlap. Input and output
    (batch, height, width, channels) floats.
    """

    def __init__(self, height: int, width: int, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.height, self.width = height, width

    def call(self, pictures: Any) -> Any:
        """Return the averages, (batch, self.height, self.width, channels)."""
        _, height, width, channels = pictures.shape
        if (height, width) == (self.height, self.width):
            return pictures
        rows, columns = (
            ops.convert_to_tensor(overlaps(*sides), dtype=self.compute_dtype)
            for sides in ((height, self.height), (width, self.width))
        )
        x = ops.transpose(pictures, (0, 3, 1, 2))
        x = ops.matmul(ops.reshape(x, (-1, width)), columns)
        x = ops.transpose(ops.reshape(x, (-1, channels, height, self.width)), (0, 1, 3, 2))
        x = ops.matmul(ops.reshape(x, (-1, height)), rows)
        x = ops.reshape(x, (-1, channels, self.width, self.height))
        return ops.transpose(x, (0, 3, 2, 1))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape of the averages."""
        return (input_shape[0], self.height, self.width, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {**super().get_config(), "height": self.height, "width": self.width}


def overlaps(before: int, after: int) -> npt.NDArray[np.float32]:
    """Return the weights (before, after) that average `before` pixels into `after` cells.

    They are rounded as a float16 file holds them, so that training sees what is served.
    """
    edges = np.linspace(0, before, after + 1)
    pixels = np.arange(before)[:, np.newaxis]
    shared = np.minimum(pixels + 1, edges[1:]) - np.maximum(pixels, edges[:-1])
    weights: npt.NDArray[np.float32] = (
        (np.maximum(shared, 0) * after / before).astype(np.float16).astype(np.float32)
    )
    return weights


def size_within(
    input_shape: tuple[int, int, int], most_numbers: int = MOST_NUMBERS
) -> tuple[int, int]:
    """Return the largest (height, width) of the same aspect with at most so many numbers."""
    height_px, width_px, channels = input_shape
    scale = min(1.0, (most_numbers / (height_px * width_px * channels)) ** 0.5)
    while True:
        height, width = (max(1, round(side * scale)) for side in (height_px, width_px))
        if height * width * channels <= most_numbers or height == width == 1:
            return height, width
        scale *= 0.99


def pixel_vector(
    image: keras.KerasTensor, *, most_numbers: int = MOST_NUMBERS, name: str | None = None
) -> keras.KerasTensor:
    """Bring pixels to 0..1 in one row (batch, numbers), averaged down where they are many."""
    x = layers.Rescaling(1 / 255, dtype="float32", name="scaling")(image)
    height, width = size_within(tuple(image.shape[1:]), most_numbers)
    x = AreaPooling(height, width, dtype="float32", name="pooling")(x)
    return layers.Flatten(dtype="float32", name=name)(x)
