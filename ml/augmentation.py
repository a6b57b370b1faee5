"""Training pictures moved and recoloured at random, a whole batch at a time.

One fused affine map resamples each picture once: a chain of Keras's random layers was measured
at a third of its speed.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce

import tensorflow as tf

from ml.sampling import sample_bilinearly

LARGEST_ASPECT = 4 / 3  # of the part that a crop shows
LUMA = (0.299, 0.587, 0.114)  # ITU-R 601
INK_LEVEL = 64  # of 255; lighter is part of a stroke
LEAST_NARROWNESS = 0.4  # narrower strokes, as of a plain 1, would become a block


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
    crop: float = 1.0
    """Least share of the picture's area that is shown, wherever it lies (Szegedy et al. 2015)."""
    mirror: bool = False
    brightness: float = 0.0
    """Fraction by which all values of a picture are multiplied, up or down."""
    contrast: float = 0.0
    """Fraction by which values move away from or towards the picture's mean grey."""
    saturation: float = 0.0
    """Fraction by which colours move away from or towards their grey."""
    thickness: float = 0.0
    """How far light strokes grow or shrink, in [0, 1]: at 1 by a whole pixel on every side."""
    fill: float = 0.0
    """How far drawings are stretched, at most, to be as wide as high, in [0, 1]. Much written
    data is normalised so, and some people do write wide."""


NO_AUGMENTATION = Augmentation()
PHOTOS = Augmentation(
    rotation_rad=0.25, zoom=0.2, stretch=0.06, shift=0.08, mirror=True, brightness=0.2
)
DRAWINGS = Augmentation(
    rotation_rad=0.16, shear_rad=0.2, zoom=0.08, stretch=0.15, shift=0.045, thickness=0.6, fill=1.0
)

GREY = Augmentation(rotation_rad=0.12, shear_rad=0.1, zoom=0.06, stretch=0.06, shift=0.04)

AUGMENTATIONS: dict[str, Augmentation] = {
    "none": NO_AUGMENTATION,
    "photos_light": Augmentation(zoom=0.1, shift=0.04, mirror=True, brightness=0.1),
    "photos": PHOTOS,
    "photos_strong": Augmentation(
        rotation_rad=0.25,
        shear_rad=0.1,
        crop=0.25,
        mirror=True,
        brightness=0.3,
        contrast=0.3,
        saturation=0.3,
    ),
    "grey_light": Augmentation(rotation_rad=0.06, shear_rad=0.05, zoom=0.03, shift=0.02),
    "grey": GREY,
    "grey_strong": Augmentation(
        rotation_rad=0.2, shear_rad=0.2, zoom=0.1, stretch=0.12, shift=0.06
    ),
    "drawings_light": Augmentation(rotation_rad=0.08, shear_rad=0.07, zoom=0.03, shift=0.03),
    "drawings": DRAWINGS,
    "drawings_strong": Augmentation(
        rotation_rad=0.25,
        shear_rad=0.3,
        zoom=0.12,
        stretch=0.3,
        shift=0.07,
        thickness=0.9,
        fill=1.0,
    ),
}

_SIDES = re.compile(r"(^|[^a-z])(left|right|clockwise|anticlockwise|forward|backward)([^a-z]|$)")


def mirror_changes_meaning(labels: Iterable[str]) -> bool:
    """Return whether mirrored pictures would show something else than their label says.

    So it is where every label is a sign (a digit, a letter, a number), and where labels
    speak of sides.
    """
    names = [label.strip() for label in labels]
    signs = all(len(name) == 1 or name.isdigit() for name in names)
    return signs or any(_SIDES.search(name.lower()) for name in names)


def augmentation_named(name: str, *, mirror: bool) -> Augmentation:
    """Return the augmentation of `AUGMENTATIONS`, without its mirroring unless `mirror`."""
    chosen = AUGMENTATIONS[name]
    return replace(chosen, mirror=chosen.mirror and mirror)


def augment(
    images: tf.Tensor, augmentation: Augmentation, key: tf.Tensor, *, side_px: int | None = None
) -> tf.Tensor:
    """Move every picture of a batch at random: one affine resampling, then its values.

    Args: `images` (batch, height, width, channels) uint8; `key` two int64, the seed;
    `side_px` of the square pictures to return, if it is another. Returns the same shape and
    dtype. Corners that come into view repeat the edge.
    """
    batch = tf.shape(images)[0]
    height, width = images.shape[1], images.shape[2]
    draws = tf.unstack(
        tf.random.stateless_uniform((10, batch), key, minval=-1.0, maxval=1.0), axis=0
    )
    more = tf.unstack(
        tf.random.stateless_uniform((6, batch), second_key(key), minval=-1.0, maxval=1.0), axis=0
    )
    angle = draws[0] * augmentation.rotation_rad
    shear = draws[1] * augmentation.shear_rad
    zoom, stretch = 1.0 + draws[2] * augmentation.zoom, draws[3] * augmentation.stretch
    scale_x, scale_y = zoom + stretch, zoom - stretch
    if augmentation.fill:
        width_ratio, height_ratio = _narrowness(images)
        fill = augmentation.fill * (draws[9] + 1) / 2
        scale_x, scale_y = scale_x * width_ratio**fill, scale_y * height_ratio**fill
    shown_x, shown_y = _shown(augmentation.crop, more[0], more[1])
    scale_x, scale_y = scale_x * shown_x, scale_y * shown_y
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
    shift_x += more[2] * (1 - shown_x) / 2 * width
    shift_y += more[3] * (1 - shown_y) / 2 * height
    out_height, out_width = (height, width) if side_px is None else (side_px, side_px)
    step_x, step_y = width / out_width, height / out_height  # between two pixels of the output
    shift_x += a * (step_x - 1) / 2 + b * (step_y - 1) / 2
    shift_y += c * (step_x - 1) / 2 + d * (step_y - 1) / 2
    a, b, c, d = a * step_x, b * step_y, c * step_x, d * step_y
    moved = _resampled(
        images, tf.stack([a, b, shift_x, c, d, shift_y], axis=1), out_height, out_width
    )
    if augmentation.thickness:
        moved = _thickened(moved, draws[8] * augmentation.thickness)
    if augmentation.brightness or augmentation.contrast or augmentation.saturation:
        moved = _recoloured(
            moved,
            1.0 + draws[7] * augmentation.brightness,
            1.0 + more[4] * augmentation.contrast,
            1.0 + more[5] * augmentation.saturation,
        )
    values = tf.cast(tf.clip_by_value(tf.round(moved), 0.0, 255.0), tf.uint8)
    return tf.ensure_shape(values, (images.shape[0], out_height, out_width, images.shape[3]))


def second_key(key: tf.Tensor) -> tf.Tensor:
    """Return a second key, for draws that do not depend on those of the first."""
    return tf.concat([key[:1] + 1, key[1:]], 0)


def _shown(
    crop: float, area_draw: tf.Tensor, aspect_draw: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return what share of the width and of the height each picture shows, both (batch,)."""
    if crop >= 1:
        return tf.ones_like(area_draw), tf.ones_like(area_draw)
    area = crop + (1 - crop) * (area_draw + 1) / 2
    aspect = tf.exp(aspect_draw * math.log(LARGEST_ASPECT))
    return tf.minimum(tf.sqrt(area * aspect), 1.0), tf.minimum(tf.sqrt(area / aspect), 1.0)


@tf.function(jit_compile=True)  # type: ignore[untyped-decorator]  # TensorFlow has none
def _resampled(images: tf.Tensor, maps: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Return float32 pictures (batch, height, width, channels), sampled along affine maps.

    The maps (batch, 6) are the rows of the matrix that takes a place (x, y, 1) of the output to
    one of the input, in pixels. Compiled, as TensorFlow's own operation finds each place anew
    for each channel: measured at 2 to 4 times the time.
    """
    x = tf.range(width, dtype=tf.float32)[tf.newaxis, tf.newaxis, :]
    y = tf.range(height, dtype=tf.float32)[tf.newaxis, :, tf.newaxis]
    a, b, shift_x, c, d, shift_y = tf.unstack(maps[:, :, tf.newaxis, tf.newaxis], axis=1)
    places = (a * x + b * y + shift_x, c * x + d * y + shift_y)
    across, down = (tf.reshape(place, (-1, height * width)) for place in places)
    sampled = sample_bilinearly(tf.cast(images, tf.float32), across, down)
    return tf.reshape(sampled, (-1, height, width, images.shape[3]))


def _recoloured(
    images: tf.Tensor, brightness: tf.Tensor, contrast: tf.Tensor, saturation: tf.Tensor
) -> tf.Tensor:
    """Multiply each picture's values, their distance from its mean and that from their grey.

    All three in one product of each pixel with a matrix of its picture: three passes over the
    pictures, one after another, were measured five times as slow. The factors are (batch,).
    """
    channels = images.shape[3]
    to_grey = tf.constant(LUMA if channels == len(LUMA) else (1.0,))[:, tf.newaxis]
    mean = tf.reduce_mean(images, axis=(1, 2)) @ to_grey
    brightness, contrast, saturation = (
        factor[:, tf.newaxis, tf.newaxis] for factor in (brightness, contrast, saturation)
    )
    matrix = saturation * tf.eye(channels) + (1 - saturation) * tf.tile(to_grey, (1, channels))
    pixels = tf.reshape(images, (-1, images.shape[1] * images.shape[2], channels))
    pixels = pixels @ (brightness * contrast * matrix)
    return tf.reshape(pixels + (1 - contrast) * brightness * mean[:, tf.newaxis], tf.shape(images))


@tf.function(jit_compile=True)  # type: ignore[untyped-decorator]  # TensorFlow has none
def _narrowness(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return ink width by height, and height by width, of each drawing, in [0.4, 1]."""
    ink = tf.reduce_max(images, axis=3) > INK_LEVEL
    width, height = (_extent(tf.reduce_any(ink, axis=axis)) for axis in (1, 2))
    return (
        tf.clip_by_value(width / height, LEAST_NARROWNESS, 1.0),
        tf.clip_by_value(height / width, LEAST_NARROWNESS, 1.0),
    )


def _extent(occupied: tf.Tensor) -> tf.Tensor:
    """Return how far it is from the first to the last true of each row, (batch,), 1 or more."""
    length = occupied.shape[1]
    first, from_end = (tf.argmax(tf.cast(o, tf.uint8), 1) for o in (occupied, occupied[:, ::-1]))
    return tf.cast(tf.maximum(length - from_end - first, 1), tf.float32)


@tf.function(jit_compile=True)  # type: ignore[untyped-decorator]  # TensorFlow has none
def _thickened(images: tf.Tensor, amount: tf.Tensor) -> tf.Tensor:
    """Blend pictures with their 3×3 dilation where `amount` (batch,) is above 0, else erosion."""
    amount = amount[:, tf.newaxis, tf.newaxis, tf.newaxis]
    sign = tf.where(amount > 0, 1.0, -1.0)  # an erosion is the dilation of the negative
    return images + tf.abs(amount) * (sign * _dilated(sign * images) - images)


def _dilated(images: tf.Tensor) -> tf.Tensor:
    """Return the largest value among each pixel and its neighbours.

    By rows, then by columns, of shifted views: a pooling was measured at twice the time.
    """
    padded = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], constant_values=images.dtype.min)
    tall = reduce(tf.maximum, (padded[:, :-2], padded[:, 1:-1], padded[:, 2:]))
    return reduce(tf.maximum, (tall[:, :, :-2], tall[:, :, 1:-1], tall[:, :, 2:]))
