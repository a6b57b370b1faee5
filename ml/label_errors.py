"""Which labels are probably wrong, by cross-validation on embeddings. NumPy only.

Northcutt, Jiang, Chuang: Confident Learning: Estimating Uncertainty in Dataset Labels,
Journal of Artificial Intelligence Research 70 (2021), arXiv:1911.00068. A label is suspected
where a classifier that has not seen the picture is surer of another class than it usually is
of pictures that carry that other label.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.calibration import fit_temperature, softmax
from ml.heads import Classes, Condenser, LinearHead

FEWEST_OF_A_CLASS = 5  # with fewer, nothing is said of a class or in favour of it


@dataclass(frozen=True, slots=True)
class SuspectedLabel:
    """A picture whose label looks wrong."""

    index: int
    """Row of the embeddings."""
    given: int
    """Class that it is labelled with."""
    likely: int
    """Class that it looks like."""
    score: float
    """Probability of `likely` less that of `given`, above 0 and at most 1."""


def suspected_label_errors(
    embeddings: npt.ArrayLike,
    truth: npt.ArrayLike,
    classes: int,
    *,
    groups: Sequence[Hashable] | None = None,
    folds: int = 5,
    seed: int = 0,
) -> list[SuspectedLabel]:
    """Return the suspected labels, most certain first.

    Embeddings of a network that has learned the wrong labels by heart hide them; take those of
    one that has not been trained on these labels where there is one.

    Args:
        embeddings: (n, d), finite.
        truth: (n,) whole numbers in 0..classes - 1, the labels to doubt.
        classes: how many there are.
        groups: n names; pictures of one group, as near duplicates, share a fold, so that
            none vouches for its copy's label.
        folds: at least 2.
        seed: decides the folds.

    Raises:
        ValueError: shapes or values that do not fit.
    """
    values, labels = np.asarray(embeddings, np.float32), np.asarray(truth)
    if values.ndim != 2 or labels.shape != values.shape[:1] or not values.shape[1]:
        raise ValueError(
            f"embeddings must be (n, d) and truth (n,), received {values.shape} and {labels.shape}."
        )
    if len(labels) and (labels.min() < 0 or labels.max() >= classes):
        raise ValueError(
            f"truth must lie in 0..{classes - 1}, received {labels.min()}..{labels.max()}."
        )
    if groups is not None and len(groups) != len(labels):
        raise ValueError(f"groups must name {len(labels)} pictures, received {len(groups)}.")
    if folds < 2:
        raise ValueError(f"folds must be at least 2, received {folds}.")
    if not np.isfinite(values).all():
        raise ValueError("embeddings must be finite; received NaN or infinity.")
    counts = np.bincount(labels, minlength=classes)
    known = counts >= FEWEST_OF_A_CLASS
    if known.sum() < 2:
        return []
    right = labels.astype(np.intp)
    fold = _folds(right, range(len(right)) if groups is None else groups, folds, seed)
    probabilities = _held_out_probabilities(values, right, classes, fold)
    rows = np.arange(len(right))
    own = probabilities[rows, right]
    thresholds = np.full(classes, np.inf)
    for index in np.flatnonzero(known):
        thresholds[index] = own[right == index].mean()
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    likely = confident.argmax(axis=1)
    score = confident[rows, likely] - own
    suspected = np.flatnonzero((likely != right) & (score > 0) & known[right])
    suspected = suspected[np.argsort(-score[suspected], kind="stable")]
    return [
        SuspectedLabel(row, int(right[row]), int(likely[row]), float(score[row]))
        for row in suspected.tolist()
    ]


def _folds(right: Classes, groups: Sequence[Hashable], folds: int, seed: int) -> Classes:
    """Return the fold of each picture: groups stay whole, classes are spread evenly."""
    members: dict[Hashable, list[int]] = {}
    for row, group in enumerate(groups):
        members.setdefault(group, []).append(row)
    whole = list(members.values())
    order = np.random.default_rng(seed).permutation(len(whole))
    fold = np.zeros(len(right), np.intp)
    by_class = sorted(order.tolist(), key=lambda group: int(right[whole[group][0]]))
    for place, group in enumerate(by_class):
        fold[whole[group]] = place % folds
    return fold


def _held_out_probabilities(
    values: npt.NDArray[np.float32], right: Classes, classes: int, fold: Classes
) -> npt.NDArray[np.float32]:
    """Return (n, classes): what a head says that was fitted without the picture's fold."""
    features = Condenser.fit(values).apply(values)
    logits = np.zeros((len(right), classes))
    for held_out in np.unique(fold):
        test = fold == held_out
        head = LinearHead.fit(features[~test], right[~test], classes)
        logits[test] = head.logits(features[test])
    return softmax(logits, fit_temperature(logits, right))
