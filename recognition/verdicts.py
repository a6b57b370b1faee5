"""What reviewers made of an upload, in words for who uploaded it. Reviewers stay unnamed."""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from recognition.answers import label_or_none
from recognition.models import Prediction
from recognition.reviewing import NONE_OF_THESE, last_words

VerdictKind = Literal["confirmed", "corrected", "none", "disputed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """One label, and how many reviewers stand by it."""

    label: str
    """Empty: none of the classes."""
    reviewers: int

    @property
    def text(self) -> str:
        """For people, such as "2 reviewers say: beetle"."""
        return ngettext(
            "%(n)d reviewer says: %(label)s", "%(n)d reviewers say: %(label)s", self.reviewers
        ) % {"n": self.reviewers, "label": label_or_none(self.label)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the reviews of one prediction amount to."""

    kind: VerdictKind
    label: str
    """Empty: none of the classes, or no label yet in a dispute."""
    opinions: tuple[Opinion, ...]
    """The most shared first; more than one where not all reviewers said the same."""

    @property
    def reviewers(self) -> int:
        """How many reviewers have said something."""
        return sum(opinion.reviewers for opinion in self.opinions)

    @property
    def text(self) -> str:
        """One sentence for the uploader."""
        label, agreeing = label_or_none(self.label), self._agreeing()
        match self.kind:
            case "disputed":
                return _("Reviewers disagree about this picture; it will be looked at again.")
            case "none":
                return ngettext(
                    "A reviewer looked at it: it shows none of the classes.",
                    "%(n)d reviewers agree: it shows none of the classes.",
                    agreeing,
                ) % {"n": agreeing}
            case "confirmed":
                return ngettext(
                    "A reviewer confirmed it: this is %(label)s.",
                    "%(n)d reviewers confirmed it: this is %(label)s.",
                    agreeing,
                ) % {"n": agreeing, "label": label}
            case "corrected":
                return ngettext(
                    "A reviewer corrected it: this is %(label)s.",
                    "%(n)d reviewers corrected it: this is %(label)s.",
                    agreeing,
                ) % {"n": agreeing, "label": label}

    def _agreeing(self) -> int:
        """Return how many stand by the label; 1 for a row whose reviews are not known."""
        return max(1, sum(o.reviewers for o in self.opinions if o.label == self.label))


def verdict_of(prediction: Prediction) -> Verdict | None:
    """Return the reviewers' verdict, or None while there is none. Then no SQL query, else one."""
    disputed = prediction.state == Prediction.State.DISPUTED
    if not (prediction.is_settled or disputed):
        return None
    words = last_words([prediction.pk]).get(prediction.pk, {})
    opinions = tuple(
        Opinion(label=label, reviewers=count)
        for label, count in sorted(Counter(words.values()).items(), key=lambda o: (-o[1], o[0]))
    )
    kind: VerdictKind
    if disputed:
        kind = "disputed"
    elif prediction.reviewed_label == NONE_OF_THESE:
        kind = "none"
    elif prediction.reviewed_label == prediction.label:
        kind = "confirmed"
    else:
        kind = "corrected"
    return Verdict(kind=kind, label=prediction.reviewed_label, opinions=opinions)
