"""The fused batch normalisation computes what Keras's does."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from ml.architectures.normalisation import FusedBatchNormalization

MAPS = np.random.default_rng(0).normal(3, 2, (8, 5, 6, 4)).astype(np.float32)


def _layers(dtype: str = "float32") -> tuple[Any, Any]:
    layers = [
        kind(momentum=0.8, epsilon=1e-5, dtype=dtype)
        for kind in (FusedBatchNormalization, keras.layers.BatchNormalization)
    ]
    for layer in layers:
        layer.build(MAPS.shape)
        layer.gamma.assign([0.5, 1, 2, -1])
        layer.beta.assign([0, 1, -1, 3])
    return layers[0], layers[1]


def _trained(layer: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any], list[npt.NDArray[Any]]]:
    """Return the maps of a training step, their gradient and the layer's variables after it."""
    maps = tf.constant(MAPS)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        normalised = layer(maps, training=True)
        loss = tf.reduce_sum(tf.cast(normalised, tf.float32) ** 3)
    return (
        tf.cast(normalised, tf.float32).numpy(),
        tape.gradient(loss, maps).numpy(),
        [variable.numpy() for variable in layer.variables],
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("mixed_bfloat16", 0.05)])
def test_training_step_gives_the_maps_gradients_and_statistics_of_keras(
    dtype: str, tolerance: float
) -> None:
    fused, plain = (_trained(layer) for layer in _layers(dtype))
    np.testing.assert_allclose(fused[0], plain[0], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(fused[1], plain[1], rtol=tolerance, atol=tolerance * 10)
    for ours, theirs in zip(fused[2], plain[2], strict=True):
        # The fused operation keeps the variance of a sample: n/(n - 1), here 240/239.
        np.testing.assert_allclose(ours, theirs, rtol=0.01, atol=tolerance)


def test_answers_come_from_the_running_statistics() -> None:
    fused, plain = _layers()
    for layer in (fused, plain):
        layer.moving_mean.assign([1, 2, 3, 4])
        layer.moving_variance.assign([4, 3, 2, 1])
    np.testing.assert_array_equal(fused(MAPS, training=False), plain(MAPS, training=False))


def test_frozen_layer_does_not_learn_from_a_batch() -> None:
    fused, _ = _layers()
    fused.trainable = False
    before = fused(MAPS, training=False)
    np.testing.assert_array_equal(fused(MAPS, training=True), before)
    np.testing.assert_array_equal(fused.moving_mean, np.zeros(4))


def test_network_with_it_can_be_stored_and_read(tmp_path: Path) -> None:
    image = keras.Input(MAPS.shape[1:])
    network = keras.Model(image, FusedBatchNormalization(momentum=0.8)(image))
    network.layers[1].moving_mean.assign([1, 2, 3, 4])
    network.save(tmp_path / "network.keras")
    read = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(read(MAPS), network(MAPS))
    assert isinstance(read.layers[1], FusedBatchNormalization)
