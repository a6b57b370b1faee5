"""Batch normalisation as one operation in each direction, where Keras makes a dozen."""

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="lacewing")
class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Batch normalisation (Ioffe & Szegedy 2015) of maps (batch, height, width, depth).

    What it computes is Keras's, and so are its variables. In training TensorFlow's fused
    operation reads and writes the maps far less often and keeps no float32 copy of
    half-precision ones: measured in docs/networks.md, "Speed".
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Return the maps, normalised by their own moments in training."""
        if not (training and self.trainable and self.center and self.scale):
            return super().call(inputs, training=training, mask=mask)
        maps, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
        )
        self.moving_mean.assign(self._moved(self.moving_mean, mean))
        self.moving_variance.assign(self._moved(self.moving_variance, variance))
        return maps

    def _moved(self, running: Any, now: Any) -> Any:
        return running * self.momentum + now * (1.0 - self.momentum)
