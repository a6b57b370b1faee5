"""A fall in accuracy is told from chance, from a quiet week and from too little to tell by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.drift import Share, change, pooled

GOOD = Share(32, 35)  # 91 %
STEADY = [GOOD] * 12


def test_a_week_far_below_the_weeks_before_fell() -> None:
    assert change([*STEADY, Share(22, 35)]).direction == "fell"


def test_a_week_a_little_below_is_steady() -> None:
    assert change([*STEADY, Share(30, 35)]).direction == "steady"


def test_a_week_far_above_the_weeks_before_rose() -> None:
    assert change([*[Share(20, 35)] * 12, Share(34, 35)]).direction == "rose"


def test_one_wrong_answer_more_of_few_is_chance_however_good_it_was() -> None:
    # The interval of 33 of 35 lies below 99 %; that happens in one week of twenty.
    weeks = [*[Share(99, 100)] * 12, Share(33, 35)]
    assert weeks[-1].interval[1] < 0.99
    assert change(weeks).direction == "steady"


def test_a_first_error_after_a_perfect_record_is_steady() -> None:
    assert change([*[Share(30, 30)] * 12, Share(29, 30)]).direction == "steady"


def test_a_small_week_is_pooled_with_those_before_until_there_are_enough() -> None:
    found = change([*STEADY, Share(4, 8), Share(4, 8), Share(3, 7)])
    assert (found.recent, found.recent_weeks) == (Share(11, 23), 3)
    assert found.direction == "fell"


def test_weeks_without_audits_at_the_end_are_passed_over() -> None:
    assert change([*STEADY, Share(20, 35), Share(0, 0), Share(0, 0)]).direction == "fell"


def test_only_the_twelve_weeks_before_count() -> None:
    assert change([*[Share(0, 35)] * 20, *STEADY, GOOD]).before == pooled(STEADY)


@pytest.mark.parametrize(
    "weeks",
    [
        [],
        [Share(0, 0)] * 5,
        [GOOD],
        [*STEADY[:1], Share(0, 35)],
        [Share(10, 10), Share(0, 5)],
    ],
)
def test_too_few_pictures_are_unknown(weeks: list[Share]) -> None:
    assert change(weeks).direction == "unknown"


def test_nothing_audited_has_no_accuracy() -> None:
    assert Share(0, 0).accuracy is None
    assert Share(0, 0).interval == (0.0, 1.0)


@given(st.lists(st.integers(0, 50).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))))
def test_recent_and_before_share_no_picture(counts: list[tuple[int, int]]) -> None:
    weeks = [Share(right, n) for right, n in counts]
    found = change(weeks)
    assert found.recent.n + found.before.n <= pooled(weeks).n
