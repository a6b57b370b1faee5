"""Intervals and exact tests, against published values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.significance import binomial_tail, holm, mcnemar_p, wilson_interval


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_is_the_published_one(
    successes: int, n: int, low: float, high: float
) -> None:
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_nothing_observed_says_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_more_confidence_is_a_wider_interval() -> None:
    low, high = wilson_interval(60, 100)
    lower, higher = wilson_interval(60, 100, confidence=0.99)

    assert lower < low < 0.6 < high < higher


@pytest.mark.parametrize(
    ("successes", "n", "confidence"), [(-1, 5, 0.95), (6, 5, 0.95), (1, 5, 0), (1, 5, 1)]
)
def test_impossible_counts_are_refused(successes: int, n: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="received"):
        wilson_interval(successes, n, confidence)


@given(st.integers(0, 5000), st.data())
def test_interval_holds_the_proportion_and_mirrors(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))

    low, high = wilson_interval(successes, n)

    assert 0 <= low <= (successes / n if n else 0.5) <= high <= 1
    assert wilson_interval(n - successes, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [
        (0, 0, 1.0),
        (3, 3, 1.0),
        (5, 1, 2 * (1 + 6) / 64),
        (1, 5, 2 * (1 + 6) / 64),
        (10, 0, 2 / 1024),
        (2, 8, 2 * (1 + 10 + 45) / 1024),
    ],
)
def test_mcnemar_is_the_binomial_sum(gained: int, lost: int, p: float) -> None:
    assert mcnemar_p(gained, lost) == pytest.approx(p)


def test_mcnemar_stays_exact_for_large_counts() -> None:
    # Normal approximation with 10,000 pictures: z = 2, two-sided 0.0455.
    assert mcnemar_p(5100, 4900) == pytest.approx(0.0466, abs=2e-4)
    assert mcnemar_p(20_000, 0) == 0.0


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        mcnemar_p(-1, 3)


@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_does_not_take_sides(gained: int, lost: int) -> None:
    assert mcnemar_p(gained, lost) == mcnemar_p(lost, gained)
    assert 0 < mcnemar_p(gained, lost) <= 1


def test_holm_corrects_by_rank() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_raises_p_values_and_keeps_their_order(p_values: list[float]) -> None:
    corrected = holm(p_values)

    assert all(p <= after <= 1 for p, after in zip(p_values, corrected, strict=True))
    pairs = sorted(zip(p_values, corrected, strict=True))
    assert [after for _, after in pairs] == sorted(after for _, after in pairs)


@pytest.mark.parametrize(
    ("successes", "n", "p", "tail"),
    [
        (0, 10, 0.5, 1 / 1024),
        (5, 10, 0.5, 638 / 1024),
        (33, 35, 0.99, 0.04786),  # 1 - 0.99³⁵ - 35·0.01·0.99³⁴
        (3, 3, 0.2, 1.0),
        (0, 0, 0.7, 1.0),
        (2, 3, 1.0, 0.0),
        (0, 3, 0.0, 1.0),
    ],
)
def test_binomial_tail_is_the_sum_of_its_terms(
    successes: int, n: int, p: float, tail: float
) -> None:
    assert binomial_tail(successes, n, p) == pytest.approx(tail, abs=5e-5)


def test_binomial_tail_of_many_is_finite() -> None:
    assert binomial_tail(50_000, 100_000, 0.5) == pytest.approx(0.5, abs=0.002)


@pytest.mark.parametrize(("successes", "n", "p"), [(4, 3, 0.5), (-1, 3, 0.5), (1, 3, 1.5)])
def test_impossible_tails_are_refused(successes: int, n: int, p: float) -> None:
    with pytest.raises(ValueError, match="received"):
        binomial_tail(successes, n, p)
