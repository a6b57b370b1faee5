"""How figures and labels are put before people; the values themselves stay raw."""

from django import template
from django.utils import formats
from django.utils.translation import gettext

register = template.Library()

_SMALLEST_PERCENT = 0.1


@register.filter
def readable(label: str) -> str:
    """Return a label as words: folder names use underscores where people use spaces."""
    return label.replace("_", " ").strip() or label


@register.filter
def percent(fraction: float) -> str:
    """Return a fraction in [0, 1] as a percentage with one decimal.

    Rounding never claims certainty: 0.9999 is "> 99.9%", 0.0001 is "< 0.1%".
    """
    value = fraction * 100
    if 0 < value < _SMALLEST_PERCENT:
        return "< " + _percent_text(_SMALLEST_PERCENT)
    if 100 - _SMALLEST_PERCENT / 2 <= value < 100:
        return "> " + _percent_text(100 - _SMALLEST_PERCENT)
    return _percent_text(value)


def _percent_text(value: float) -> str:
    # Translators: how a percentage is written, for example "97.3%".
    return gettext("%(number)s%%") % {"number": formats.number_format(value, 1)}


@register.filter
def bar_width(probability: float) -> str:
    """Return the SVG `width` of a probability's bar: no locale's decimal comma in it."""
    return f"{probability * 100:.2f}%"


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
