"""Pictures read between their pixels."""

from typing import Any

from keras import ops


def sample_bilinearly(pictures: Any, x: Any, y: Any) -> Any:
    """Return what pictures show at places between their pixels, beyond the edge what it shows.

    Args: `pictures` (batch, height, width, channels) float; `x` and `y` (batch, n) float, in
    pixels, where 0 is the centre of the first. Returns (batch, n, channels).
    """
    _, height, width, channels = pictures.shape
    left, right, to_right = _neighbours(x, width)
    above, below, to_below = _neighbours(y, height)
    pixels = ops.reshape(pictures, (-1, channels))
    first = ops.expand_dims(ops.arange(ops.shape(pictures)[0]) * (height * width), 1)

    def row(vertical: Any) -> Any:
        start = first + vertical * width
        return (1 - to_right) * ops.take(pixels, start + left, axis=0) + (
            to_right * ops.take(pixels, start + right, axis=0)
        )

    return (1 - to_below) * row(above) + to_below * row(below)


def _neighbours(places: Any, side: int) -> tuple[Any, Any, Any]:
    """Return the pixels before and after each place 0..side - 1, and the share of the latter.

    Places (batch, n); pixels int32 (batch, n); share (batch, n, 1).
    """
    places = ops.clip(places, 0.0, side - 1.0)
    before = ops.floor(places)
    after = ops.minimum(before + 1, side - 1.0)
    share = ops.expand_dims(places - before, -1)
    return ops.cast(before, "int32"), ops.cast(after, "int32"), share
