"""Candidate against incumbent on the same pictures: what changed, and whether beyond noise."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ml.significance import holm, mcnemar_p

Verdict = Literal["better", "equal", "worse"]
SIGNIFICANCE = 0.05  # how often chance alone may raise an alarm


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A test picture that one of the two classifiers has right and the other wrong."""

    name: str
    label: str
    """The right one."""
    old_label: str
    old_probability: float
    """Of `old_label`, as the incumbent saw it."""
    new_label: str
    new_probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassChange:
    """How the recall of one class moved."""

    label: str
    support: int
    old_recall: float
    new_recall: float
    gained: int
    lost: int
    p: float
    """Exact McNemar, corrected after Holm for the number of classes."""
    worse: bool
    """The recall fell by more than noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The verdict on a candidate, and everything it rests on."""

    n: int
    old_accuracy: float
    new_accuracy: float
    p: float
    """Exact McNemar over all pictures, two-sided."""
    gained: tuple[Flip, ...]
    """Wrong before, right now; in the order of the pictures."""
    lost: tuple[Flip, ...]
    per_class: tuple[ClassChange, ...]
    verdict: Verdict
    reasons: tuple[str, ...]
    """For people; the first is about all pictures."""

    def to_dict(self) -> dict[str, object]:
        """Return what JSON can hold."""
        return dataclasses.asdict(self)


def compare(
    candidate: npt.ArrayLike,
    incumbent: npt.ArrayLike,
    truth: npt.ArrayLike,
    labels: Sequence[str],
    names: Sequence[str],
) -> Comparison:
    """Compare two classifiers picture by picture.

    "worse": fewer pictures right overall, or in any class, by more than chance explains
    (exact McNemar test at 5 %, the classes corrected after Holm). "better": more right
    overall beyond chance and no class worse. Otherwise "equal".

    Args:
        candidate: probabilities (n, c) of the new version.
        incumbent: probabilities (n, c) of the active version, in the same columns; see
            `aligned` where their labels differ.
        truth: (n,) whole numbers, the index of the right label.
        labels: the c class names.
        names: the n pictures' names, for people.

    Raises:
        ValueError: shapes that do not fit, values that are not probabilities.
    """
    right = checked_truth(candidate, truth, labels)
    checked_truth(incumbent, truth, labels)
    new, old = np.asarray(candidate, np.float64), np.asarray(incumbent, np.float64)
    if len(names) != len(right):
        raise ValueError(f"names must name {len(right)} pictures, received {len(names)}.")
    new_index, old_index = new.argmax(axis=1), old.argmax(axis=1)
    new_right, old_right = new_index == right, old_index == right

    def flips(which: npt.NDArray[np.bool_]) -> tuple[Flip, ...]:
        return tuple(
            Flip(
                name=names[row],
                label=labels[right[row]],
                old_label=labels[old_index[row]],
                old_probability=float(old[row, old_index[row]]),
                new_label=labels[new_index[row]],
                new_probability=float(new[row, new_index[row]]),
            )
            for row in np.flatnonzero(which).tolist()
        )

    gained, lost = flips(new_right & ~old_right), flips(old_right & ~new_right)
    p = mcnemar_p(len(gained), len(lost))
    per_class = _class_changes(right, new_right, old_right, labels)
    old_accuracy, new_accuracy = float(old_right.mean()), float(new_right.mean())
    beyond_noise = p < SIGNIFICANCE
    noise = "beyond noise" if beyond_noise else "within noise"
    reasons = [
        f"{new_accuracy:.1%} right on {len(right)} test pictures, before {old_accuracy:.1%}: "
        f"{len(gained)} newly right, {len(lost)} newly wrong (p = {p:.2g}, {noise})."
    ]
    worse_classes = [change for change in per_class if change.worse]
    reasons += [
        f"{change.label}: {change.new_recall:.1%} of its {change.support} pictures found, "
        f"before {change.old_recall:.1%} (p = {change.p:.2g}, beyond noise)."
        for change in worse_classes
    ]
    verdict: Verdict = "equal"
    if worse_classes or (beyond_noise and len(lost) > len(gained)):
        verdict = "worse"
    elif beyond_noise:
        verdict = "better"
    return Comparison(
        n=len(right),
        old_accuracy=old_accuracy,
        new_accuracy=new_accuracy,
        p=p,
        gained=gained,
        lost=lost,
        per_class=per_class,
        verdict=verdict,
        reasons=tuple(reasons),
    )


def aligned(
    probabilities: npt.ArrayLike, labels: Sequence[str], to: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Return probabilities (n, len(labels)) in the columns of `to`, as (n, len(to)).

    Needed to compare versions that know different classes. A class that `labels` lacks has
    probability 0. One that `to` lacks is left out: no picture is compared that has it, so
    the other version is not charged with choosing it.

    Raises:
        ValueError: not as many columns as labels.
    """
    values = np.asarray(probabilities, np.float64)
    if values.ndim != 2 or values.shape[1] != len(labels):
        raise ValueError(f"probabilities must be (n, {len(labels)}), received {values.shape}.")
    columns = {label: column for column, label in enumerate(labels)}
    result = np.zeros((len(values), len(to)))
    for column, label in enumerate(to):
        if label in columns:
            result[:, column] = values[:, columns[label]]
    return result


def checked_truth(
    probabilities: npt.ArrayLike, truth: npt.ArrayLike, labels: Sequence[str]
) -> npt.NDArray[np.intp]:
    """Return truth as indices after checking that it fits (n, c) probabilities.

    Raises:
        ValueError: naming what was received and what is allowed.
    """
    values, right = np.asarray(probabilities), np.asarray(truth)
    if values.ndim != 2 or values.shape[1] != len(labels) or not len(values):
        raise ValueError(
            f"probabilities must be (n, {len(labels)}) with n at least 1, received {values.shape}."
        )
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1 + 1e-6):
        raise ValueError("probabilities must lie in [0, 1]; received other values.")
    if right.shape != values.shape[:1] or right.dtype.kind not in "iu":
        raise ValueError(
            f"truth must be {len(values)} whole numbers, received {right.dtype} {right.shape}."
        )
    if right.min() < 0 or right.max() >= len(labels):
        raise ValueError(
            f"truth must lie in 0..{len(labels) - 1}, received {right.min()}..{right.max()}."
        )
    return right.astype(np.intp)


def _class_changes(
    right: npt.NDArray[np.intp],
    new_right: npt.NDArray[np.bool_],
    old_right: npt.NDArray[np.bool_],
    labels: Sequence[str],
) -> tuple[ClassChange, ...]:
    """Return the classes that have test pictures, in the order of the labels."""
    present = np.unique(right).tolist()
    counts = []
    for index in present:
        new, old = new_right[right == index], old_right[right == index]
        counts.append((new, old, int((new & ~old).sum()), int((old & ~new).sum())))
    corrected = holm([mcnemar_p(gained, lost) for _, _, gained, lost in counts])
    return tuple(
        ClassChange(
            label=labels[index],
            support=len(new),
            old_recall=float(old.mean()),
            new_recall=float(new.mean()),
            gained=gained,
            lost=lost,
            p=p,
            worse=p < SIGNIFICANCE and lost > gained,
        )
        for index, (new, old, gained, lost), p in zip(present, counts, corrected, strict=True)
    )
