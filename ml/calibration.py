"""Logits into probabilities that can be believed: temperature scaling. NumPy only.

Guo, Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017,
arXiv:1706.04599: one number, fitted on validation pictures, divides the logits. It never
changes which label comes first.
"""

import numpy as np
import numpy.typing as npt

MIN_TEMPERATURE = 0.05
MAX_TEMPERATURE = 20.0

_GOLDEN = (5**0.5 - 1) / 2
_SEARCH_STEPS = 40  # each narrows ln(temperature) by 0.618: 6.0 → 3e-8


def softmax(logits: npt.ArrayLike, temperature: float = 1.0) -> npt.NDArray[np.float32]:
    """Return probabilities that sum to 1 over the last axis.

    Args:
        logits: finite, any shape with the classes last.
        temperature: above 0; more than 1 flattens, less sharpens.

    Raises:
        ValueError: the temperature is not above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, received {temperature}.")
    return np.exp(_log_softmax(logits, temperature)).astype(np.float32)


def fit_temperature(logits: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Return the temperature with the least mean negative log-likelihood.

    The likelihood is concave in 1/temperature, so a golden-section search over
    ln(temperature) in [ln 0.05, ln 20] finds the only minimum. Where every example is
    right, colder is always better and the data cannot tell how sure to be: 1.0 is returned.

    Args:
        logits: (examples, classes), finite; of validation pictures, never of test ones.
        truth: (examples,) whole numbers, the index of the right class.

    Raises:
        ValueError: no examples, shapes that do not fit, or logits that are not finite.
    """
    scores = np.asarray(logits, np.float64)
    right = np.asarray(truth)
    if scores.ndim != 2 or right.shape != scores.shape[:1] or not len(scores):
        raise ValueError(
            "logits must be (examples, classes) and truth (examples,) with at least one "
            f"example, received {scores.shape} and {right.shape}."
        )
    if not np.isfinite(scores).all():
        raise ValueError("logits must be finite; received NaN or infinity.")
    if right.dtype.kind not in "iu" or right.min() < 0 or right.max() >= scores.shape[1]:
        raise ValueError(
            f"truth must hold whole numbers from 0 to {scores.shape[1] - 1}, "
            f"received {right.dtype} from {right.min()} to {right.max()}."
        )
    if (scores.argmax(axis=1) == right).all():
        return 1.0
    rows = np.arange(len(right))

    def loss(log_temperature: float) -> float:
        return -float(_log_softmax(scores, float(np.exp(log_temperature)))[rows, right].mean())

    low, high = float(np.log(MIN_TEMPERATURE)), float(np.log(MAX_TEMPERATURE))
    left, middle = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    loss_left, loss_middle = loss(left), loss(middle)
    for _ in range(_SEARCH_STEPS):
        if loss_left <= loss_middle:
            high, middle, loss_middle = middle, left, loss_left
            left = high - _GOLDEN * (high - low)
            loss_left = loss(left)
        else:
            low, left, loss_left = left, middle, loss_middle
            middle = low + _GOLDEN * (high - low)
            loss_middle = loss(middle)
    return float(np.clip(np.exp((low + high) / 2), MIN_TEMPERATURE, MAX_TEMPERATURE))


def _log_softmax(logits: npt.ArrayLike, temperature: float) -> npt.NDArray[np.float64]:
    scaled = np.asarray(logits, np.float64) / temperature
    scaled = scaled - scaled.max(axis=-1, keepdims=True)  # exp cannot overflow
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=-1, keepdims=True)))
