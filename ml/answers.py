"""What a classification amounts to: one class, several, or none of those it knows."""

from dataclasses import dataclass
from typing import Literal

from ml.inference import Classification

ANSWER_LEVEL = 0.95
"""Level of the prediction set that people are shown.

A network that is right in nine pictures of ten would name one class for every picture at
0.90, also where it hesitates.
"""

Kind = Literal["one", "several", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What to say of one picture, before any probability.

    Attributes:
        kind: how many classes the answer names.
        labels: the prediction set, most probable first, also where the answer is none.
        level: share of pictures whose right class is in such a set; None without one.
    """

    kind: Kind
    labels: tuple[str, ...]
    level: float | None


def answer_of(classification: Classification) -> Answer | None:
    """Return what to say; None for a model version that can promise nothing."""
    labels = classification.prediction_sets.get(ANSWER_LEVEL, ())
    level = ANSWER_LEVEL if labels else None
    if classification.is_novel:
        return Answer(kind="none", labels=labels, level=level)
    if not labels:
        return None
    return Answer(kind="one" if len(labels) == 1 else "several", labels=labels, level=level)
