"""Training pictures mixed with one another, and their labels with them."""

from typing import Literal

import tensorflow as tf

from ml.augmentation import second_key

Mix = Literal["none", "mixup", "cutmix", "both"]

MIXUP_ALPHA = 0.2  # Zhang et al. 2018, for photographs
BOTH_ALPHA = 0.4  # of mixup where it takes turns with CutMix
BOTH_SHARE = 0.7  # of the batches that are mixed then: the others stay what they are


def mix_pictures(
    images: tf.Tensor, truth: tf.Tensor, weights: tf.Tensor, mix: Mix, key: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mix each picture of a batch with another one, and their labels in the same shares.

    mixup (Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization") blends two
    pictures; CutMix (Yun et al. 2019) pastes a rectangle of one into the other. `both` takes
    turns at random and leaves some batches alone. The share of the second is drawn once a batch.

    Args: `images` (batch, height, width, channels) uint8; `truth` (batch, classes) shares
    that sum to 1; `weights` (batch,); `key` two int64, the seed. Returns the three, mixed.
    """
    if mix == "none":
        return images, truth, weights
    order = tf.range(tf.shape(images)[0])
    partner = tf.random.experimental.stateless_shuffle(order, second_key(key))
    draws = tf.random.stateless_uniform((3,), key)
    others = tf.gather(images, partner)
    if mix == "mixup":
        mixed, share = _blended(images, others, key, MIXUP_ALPHA)
    elif mix == "cutmix":
        mixed, share = _pasted(images, others, draws)
    else:
        turn = tf.random.stateless_uniform((2,), second_key(key))
        mixed, share = tf.case(
            [
                (turn[1] >= BOTH_SHARE, lambda: (images, tf.constant(0.0))),
                (turn[0] < 0.5, lambda: _pasted(images, others, draws)),
            ],
            default=lambda: _blended(images, others, key, BOTH_ALPHA),
        )
    return (
        mixed,
        (1 - share) * truth + share * tf.gather(truth, partner),
        (1 - share) * weights + share * tf.gather(weights, partner),
    )


def _blended(
    images: tf.Tensor, others: tf.Tensor, key: tf.Tensor, alpha: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the blend and the share of the others in it, drawn from Beta(alpha, alpha)."""
    gammas = tf.random.stateless_gamma((2,), key, alpha=alpha)
    share = gammas[0] / tf.maximum(gammas[0] + gammas[1], 1e-9)
    blend = (1 - share) * tf.cast(images, tf.float32) + share * tf.cast(others, tf.float32)
    return tf.cast(tf.round(blend), tf.uint8), share


def _pasted(images: tf.Tensor, others: tf.Tensor, draws: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the pictures with a rectangle of the others, and the share of its area."""
    height, width = images.shape[1], images.shape[2]
    side = tf.sqrt(draws[0])  # of the rectangle, so that its area is uniform in [0, 1]
    top, left = draws[1] * (1 - side) * height, draws[2] * (1 - side) * width
    rows, columns = tf.range(height, dtype=tf.float32), tf.range(width, dtype=tf.float32)
    inside = ((rows >= top) & (rows < top + side * height))[:, tf.newaxis] & (
        (columns >= left) & (columns < left + side * width)
    )[tf.newaxis]
    mixed = tf.where(inside[tf.newaxis, :, :, tf.newaxis], others, images)
    return mixed, tf.reduce_mean(tf.cast(inside, tf.float32))
