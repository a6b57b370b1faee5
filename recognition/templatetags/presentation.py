"""How figures and labels are put before people; the values themselves stay raw."""

from django import template
from django.utils import formats
from django.utils.translation import gettext

from recognition.answers import answer_meaning, answer_text, label_or_none, readable
from recognition.models import Prediction
from recognition.queues import COUNTED

register = template.Library()

_SMALLEST_SHOWN = 0.001


register.filter(readable)
register.filter(label_or_none)


@register.filter
def answer(prediction: Prediction) -> str:
    """Return what the prediction amounts to, "A or B"; its label where nobody asked."""
    if not prediction.answer:
        return readable(prediction.label)
    labels = prediction.set_labels()
    return answer_text(prediction.answer, labels, len(prediction.probabilities))


@register.filter
def meaning(prediction: Prediction) -> str:
    """Return what the prediction's answer promises; empty where it has none."""
    return answer_meaning(prediction.answer, prediction.set_level) if prediction.answer else ""


@register.filter
def percent(fraction: float) -> str:
    """Return a measured fraction in [0, 1] as a percentage with one decimal."""
    # Translators: how a percentage is written, for example "97.3%".
    return gettext("%(number)s%%") % {"number": formats.number_format(round(fraction * 100, 1), 1)}


@register.filter
def probability(value: float) -> str:
    """Return a probability in [0, 1] as a percentage that rounding never makes certain.

    What would round to 0 or 100 is shown as "< 0.1%" and "> 99.9%": a softmax is neither.
    """
    if value < _SMALLEST_SHOWN / 2:
        return f"< {percent(_SMALLEST_SHOWN)}"
    if value >= 1 - _SMALLEST_SHOWN / 2:
        return f"> {percent(1 - _SMALLEST_SHOWN)}"
    return percent(value)


@register.filter
def bar_width(value: float) -> str:
    """Return the SVG `width` of a probability's bar: no locale's decimal comma in it."""
    return f"{value * 100:.2f}%"


@register.filter
def duration(duration_ms: float) -> str:
    """Return a duration in the unit that people would use: ms below a second, else s."""
    if duration_ms < 1000:
        # Translators: milliseconds.
        number = formats.number_format(max(1, round(duration_ms)))
        return gettext("%(number)s ms") % {"number": number}
    # Translators: seconds.
    number = formats.number_format(duration_ms / 1000, 1)
    return gettext("%(number)s s") % {"number": number}


@register.filter
def capped(count: int, limit: int = COUNTED) -> str:
    """Return a count, or "1,000+" where it was counted no further."""
    shown = formats.number_format(min(count, limit), force_grouping=True)
    return f"{shown}+" if count > limit else shown
