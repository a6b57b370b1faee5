"""Can the probabilities be believed? Confidence against the share that was right. NumPy only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BINS = 15  # as Guo et al. 2017


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """The pictures whose first label has a probability above `low` and up to `high`."""

    low: float
    high: float
    n: int
    confidence: float
    """Their mean probability of the first label; 0 where there is no picture."""
    accuracy: float
    """The share whose first label is right; 0 where there is no picture."""


def reliability_bins(
    confidence: npt.ArrayLike, correct: npt.ArrayLike
) -> tuple[ReliabilityBin, ...]:
    """Sort pictures by their confidence into 15 bins of equal width, (k/15, (k+1)/15].

    Args:
        confidence: (n,) in [0, 1], the probability of each picture's first label.
        correct: (n,) whether that label is right.
    """
    values = np.asarray(confidence, np.float64)
    right = np.asarray(correct, np.float64)
    rows = np.clip(np.ceil(values * BINS) - 1, 0, BINS - 1).astype(np.intp)
    counts = np.bincount(rows, minlength=BINS)
    divisors = np.maximum(counts, 1)
    confidences = np.bincount(rows, weights=values, minlength=BINS) / divisors
    accuracies = np.bincount(rows, weights=right, minlength=BINS) / divisors
    return tuple(
        ReliabilityBin(
            low=index / BINS,
            high=(index + 1) / BINS,
            n=int(counts[index]),
            confidence=float(confidences[index]),
            accuracy=float(accuracies[index]),
        )
        for index in range(BINS)
    )


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the expected calibration error, in [0, 1].

    |share right - mean probability| averaged over the bins, weighted by their pictures: Guo,
    Pleiss, Sun, Weinberger: On Calibration of Modern Neural Networks, ICML 2017.
    """
    pictures = sum(one.n for one in bins)
    return sum(one.n * abs(one.accuracy - one.confidence) for one in bins) / pictures
