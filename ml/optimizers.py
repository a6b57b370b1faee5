"""Losses, learning rates and optimizers by the names that people give them."""

from typing import Any

import keras
from keras import ops

from ml.config import Loss, TrainingConfig

MOMENTUM = 0.9
WARM_UP = 0.05  # share of the steps, before a cosine falls


def build_loss(loss: Loss, *, label_smoothing: float) -> keras.losses.Loss:
    """Return the loss between one-hot truth and logits, both (batch, classes).

    `hinge` is the multi-class margin loss of Crammer & Singer 2001: the largest wrong score
    must stay 1 below the right one; with a linear network that is a support vector machine.
    `mse` compares the logits themselves with the one-hot truth (Hui & Belkin 2021).
    """
    if loss == "hinge":
        return keras.losses.CategoricalHinge()
    if loss == "mse":
        return keras.losses.MeanSquaredError()
    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=label_smoothing)


def build_optimizer(config: TrainingConfig, steps: int) -> keras.optimizers.Optimizer:
    """Return the optimizer of a training of `steps` steps."""
    arguments: dict[str, Any] = {
        "learning_rate": _schedule(config, steps),
        "weight_decay": config.weight_decay or None,
    }
    if config.ema:
        arguments |= {"use_ema": True, "ema_momentum": config.ema}
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(momentum=MOMENTUM, nesterov=True, **arguments)
    if config.optimizer == "muon":
        return ConvolutionalMuon(adam_weight_decay=config.weight_decay or None, **arguments)
    # Unlike the others it refuses None.
    return keras.optimizers.AdamW(**arguments | {"weight_decay": config.weight_decay})


def add_l2(network: keras.Model, strength: float) -> None:
    """Penalise the squares of every kernel in the loss; biases and scales go free."""
    penalty = keras.regularizers.L2(strength)
    for variable in network.trainable_variables:
        if len(variable.shape) > 1:
            variable.regularizer = penalty


def _schedule(
    config: TrainingConfig, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    if config.schedule == "constant":
        return config.learning_rate
    if config.schedule == "cosine":
        warm_up = round(WARM_UP * steps)
        return keras.optimizers.schedules.CosineDecay(
            0.0 if warm_up else config.learning_rate,
            max(1, steps - warm_up),
            warmup_target=config.learning_rate if warm_up else None,
            warmup_steps=warm_up,
        )
    return TriangularRate(config.learning_rate, steps)


@keras.saving.register_keras_serializable(package="lacewing")
class TriangularRate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Learning rate that climbs to its peak over the first fifth, then falls to near zero.

    After Smith & Topin 2018, "Super-Convergence".
    """

    FIRST, LAST, RISE = 0.1, 0.005, 0.2  # shares of the peak, of the peak, of the steps

    def __init__(self, peak: float, steps: int) -> None:
        super().__init__()
        self.peak = peak
        self.steps = steps

    def __call__(self, step: Any) -> Any:
        """Return the rate at `step`."""
        done = ops.cast(step, "float32") / max(self.steps, 1)
        rising = self.FIRST + (1 - self.FIRST) * done / self.RISE
        falling = 1 - (1 - self.LAST) * (done - self.RISE) / (1 - self.RISE)
        return self.peak * ops.maximum(ops.minimum(rising, falling), self.LAST)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"peak": self.peak, "steps": self.steps}


@keras.saving.register_keras_serializable(package="lacewing")
class ConvolutionalMuon(keras.optimizers.Muon):  # type: ignore[misc]
    """Muon for convolutions too: a kernel counts as a matrix of patches by filters.

    Keras's own leaves anything that is not two-dimensional to AdamW, so that in a
    convolutional network it does next to nothing. Flattened after Jordan et al. 2024, "Muon:
    An optimizer for hidden layers in neural networks", which also leaves the first and the
    last layer, scales and depthwise kernels to AdamW; here the first convolution is not
    excepted. As there the step is made orthogonal in bfloat16, where the processor has it.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._fast_dtype = keras.config.dtype_policy().compute_dtype

    def _should_use_adamw(self, variable: keras.Variable) -> bool:
        if "logits" in variable.path or "embedding" in variable.path:
            return True
        shape = variable.shape
        is_matrix = len(shape) == 2
        is_convolution = len(shape) == 4 and shape[-1] > 1 and "depthwise" not in variable.path
        return not (is_matrix or is_convolution)

    def _muon_update_step(self, gradient: Any, variable: Any, lr: Any, m: Any) -> None:
        self.assign(m, ops.add(gradient, m * self.momentum))
        moved = ops.add(gradient, self.momentum * m) if self.nesterov else m
        matrix = ops.reshape(moved, (-1, variable.shape[-1]))
        orthogonal = self.zeropower_via_newtonschulz5(
            ops.cast(matrix, self._fast_dtype), self.ns_steps
        )
        step = self.lr_adjust(ops.cast(orthogonal, matrix.dtype))
        self.assign_sub(variable, ops.reshape(lr * step, variable.shape))
