"""How figures and labels are put before people."""

import pytest
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from recognition.templatetags import presentation


@pytest.mark.parametrize(
    ("label", "words"),
    [("Fomes_fomentarius", "Fomes fomentarius"), ("7", "7"), ("_", "_"), ("a__b", "a  b")],
)
def test_labels_read_as_words(label: str, words: str) -> None:
    assert presentation.readable(label) == words


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "< 0.1%"),
        (0.0004, "< 0.1%"),
        (0.0006, "0.1%"),
        (0.5, "50.0%"),
        (0.9994, "99.9%"),
        (0.9996, "> 99.9%"),
        (1.0, "> 99.9%"),
    ],
)
def test_a_probability_is_never_shown_as_certain(value: float, shown: str) -> None:
    assert presentation.probability(value) == shown


@given(st.floats(min_value=0, max_value=1))
def test_no_probability_reads_as_zero_or_one_hundred(value: float) -> None:
    assert presentation.probability(value) not in ("0.0%", "100.0%")


@pytest.mark.parametrize(("value", "shown"), [(0.9958, "99.6%"), (1.0, "100.0%"), (0.0, "0.0%")])
def test_a_measured_fraction_is_rounded_not_cut(value: float, shown: str) -> None:
    assert presentation.percent(value) == shown


def test_numbers_follow_the_language() -> None:
    with translation.override("de"):
        assert presentation.percent(0.9958) == "99,6\N{NO-BREAK SPACE}%"
        assert presentation.duration(1234) == "1,2\N{NO-BREAK SPACE}s"
        assert presentation.bar_width(0.5) == "50.00%"


@pytest.mark.parametrize(
    ("value", "shown"), [(0.2, "1 ms"), (12.4, "12 ms"), (999.4, "999 ms"), (1500, "1.5 s")]
)
def test_durations_come_in_the_unit_people_would_use(value: float, shown: str) -> None:
    with translation.override("en"):
        assert presentation.duration(value).replace("\N{NO-BREAK SPACE}", " ") == shown
