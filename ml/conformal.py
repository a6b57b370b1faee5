"""How many classes an answer must name to be right as often as it says. NumPy only.

Adaptive prediction sets: Romano, Sesia, Candès: Classification with Valid and Adaptive
Coverage, NeurIPS 2020, arXiv:2006.02544, split-conformal. A set takes the most probable
classes until their mass exceeds a threshold; the threshold is the smallest that would have
kept the right class in often enough on validation pictures. Nothing is drawn at random, so a
picture always has one answer. A set is never empty: where the most probable class alone is
right more often than the level asks, every set is that class and is right more often still.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEVELS = (0.90, 0.95)
"""Shares of pictures whose right class is to be in the set."""

SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class SetQuality:
    """What the sets of one level are worth on labelled pictures.

    Attributes:
        coverage: share of pictures whose right class is in the set.
        mean_size: classes in a set, from 1.
        single: share of sets that name one class only.
    """

    coverage: float
    mean_size: float
    single: float


def fit_thresholds(probabilities: npt.ArrayLike, truth: npt.ArrayLike) -> dict[float, float]:
    """Return, for each of `LEVELS`, the threshold of `prediction_set`, in [0, 1].

    For pictures drawn as these were, a set holds the right class with at least the level's
    probability. Of n pictures it is the score at rank ⌈(n + 1)·level⌉; where there are too few
    pictures for that, 1: the set is then every class.

    Args:
        probabilities: (n, classes), calibrated, of validation pictures, never of test ones.
        truth: (n,) whole numbers, the index of the right class.

    Raises:
        ValueError: no pictures, shapes that do not fit, or rows that are no probabilities.
    """
    given, right = _checked(probabilities, truth)
    scores = np.sort(_score_of_truth(given, right))
    thresholds = {}
    for level in LEVELS:
        rank = math.ceil((len(scores) + 1) * level)
        thresholds[level] = float(scores[rank - 1]) if rank <= len(scores) else 1.0
    return thresholds


def prediction_set(probabilities: npt.ArrayLike, threshold: float) -> tuple[int, ...]:
    """Return the indices of the classes to name, most probable first; at least one.

    A class is in the set where all that are more probable have a mass of at most `threshold`.

    Args:
        probabilities: (classes,) of one picture, in [0, 1], summing to 1.
        threshold: from `fit_thresholds`, in [0, 1].

    Raises:
        ValueError: anything else.
    """
    given = _checked_rows(np.asarray(probabilities)[np.newaxis])
    _check_threshold(threshold)
    order, before = _mass_before(given)
    size = int((before[0] <= threshold).sum())
    return tuple(int(index) for index in order[0, :size])


def judge_sets(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, thresholds: Mapping[float, float]
) -> dict[float, SetQuality]:
    """Return how good the sets of each level are on labelled pictures.

    Args:
        probabilities: (n, classes), calibrated.
        truth: (n,) whole numbers.
        thresholds: level to threshold, from `fit_thresholds`.

    Raises:
        ValueError: as `fit_thresholds`.
    """
    given, right = _checked(probabilities, truth)
    _, before = _mass_before(given)
    scores = _score_of_truth(given, right)
    quality = {}
    for level, threshold in thresholds.items():
        _check_threshold(threshold)
        sizes = (before <= threshold).sum(axis=1)
        quality[level] = SetQuality(
            coverage=float((scores <= threshold).mean()),
            mean_size=float(sizes.mean()),
            single=float((sizes == 1).mean()),
        )
    return quality


def _mass_before(
    probabilities: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return each row's classes, most probable first, and the mass of those before each."""
    order = np.argsort(-probabilities, axis=1, kind="stable")
    mass = np.cumsum(np.take_along_axis(probabilities, order, axis=1), axis=1)
    before = np.zeros_like(mass)
    before[:, 1:] = np.minimum(mass[:, :-1], 1.0)  # a threshold of 1 takes every class
    return order, before


def _score_of_truth(
    probabilities: npt.NDArray[np.float64], truth: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """Return the smallest threshold whose set holds the right class, for each row."""
    order, before = _mass_before(probabilities)
    scores: npt.NDArray[np.float64] = before[order == truth[:, np.newaxis]]
    return scores


def _checked(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    given, right = np.asarray(probabilities), np.asarray(truth)
    if given.ndim != 2 or right.shape != given.shape[:1] or not given.size:
        raise ValueError(
            "probabilities must be (n, classes) and truth (n,) with at least one picture, "
            f"received {given.shape} and {right.shape}."
        )
    if right.dtype.kind not in "iu" or right.min() < 0 or right.max() >= given.shape[1]:
        raise ValueError(
            f"truth must hold whole numbers from 0 to {given.shape[1] - 1}, "
            f"received {right.dtype} from {right.min()} to {right.max()}."
        )
    return _checked_rows(given), right.astype(np.intp)


def _checked_rows(given: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    if given.ndim != 2 or not given.size or given.dtype.kind not in "fiu":
        raise ValueError(
            f"probabilities must be numbers by class, received {given.dtype} {given.shape}."
        )
    rows = given.astype(np.float64)
    if not ((rows >= 0) & (rows <= 1)).all() or (abs(rows.sum(axis=1) - 1) > SUM_TOLERANCE).any():
        raise ValueError("probabilities must lie in [0, 1] and sum to 1 for each picture.")
    return rows


def _check_threshold(threshold: float) -> None:
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must lie in [0, 1], received {threshold}.")
