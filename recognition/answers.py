"""A prediction's answer in words: "A", "A or B", "None of the 12 classes I know"."""

from collections.abc import Sequence
from fractions import Fraction

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from recognition.models import Prediction

MAX_JOINED = 3
"""Up to so many classes are named as "A, B or C"; more as "One of 5 classes: …"."""
MAX_NAMED = 6


def readable(label: str) -> str:
    """Return a label as words: folder names use underscores where people use spaces."""
    return label.replace("_", " ").strip() or label


def label_or_none(label: str) -> str:
    """Return what a person said a picture shows, in words; empty means none of the classes."""
    return readable(label) if label else _("none of the classes")


def answer_text(kind: str, labels: Sequence[str], n_classes: int) -> str:
    """Return the answer as people would say it, in the language that is active.

    Args:
        kind: one of `Prediction.Answer`.
        labels: the prediction set, most probable first.
        n_classes: how many classes the model version knows.
    """
    if kind == Prediction.Answer.NONE:
        return ngettext(
            "Not the one class I know", "None of the %(n)d classes I know", n_classes
        ) % {"n": n_classes}
    names = [readable(label) for label in labels]
    if len(names) == 1:
        return names[0]
    if len(names) <= MAX_JOINED:
        return _("%(names)s or %(last)s") % {"names": ", ".join(names[:-1]), "last": names[-1]}
    shown = ", ".join(names[:MAX_NAMED]) + (", …" if len(names) > MAX_NAMED else "")
    return _("One of %(n)d classes: %(names)s") % {"n": len(names), "names": shown}


def answer_meaning(kind: str, level: float | None) -> str:
    """Return in a sentence or two what the answer promises, and what it does not."""
    if kind == Prediction.Answer.NONE:
        return _(
            "The picture does not look like those that I learned from. The probabilities only "
            "say which class it resembles most."
        )
    share = Fraction(level or 0).limit_denominator(100)
    if kind == Prediction.Answer.ONE:
        promise = _(
            "For %(right)d of %(all)d pictures like those I learned from, my answer names the "
            "right class. Here one class is enough."
        )
    else:
        promise = _(
            "I cannot tell these apart here. For %(right)d of %(all)d pictures like those I "
            "learned from, my answer names the right class."
        )
    return promise % {"right": share.numerator, "all": share.denominator}
