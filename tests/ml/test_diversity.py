"""Uncertain pictures are spread out: near copies of one picture do not fill the first places."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.diversity import UNKNOWN_DISTANCE, spread

NOTHING_SEEN = np.empty((0, 64))


def directions(*numbers: int) -> np.ndarray:
    """Return unit vectors along the axes given, (n, 64)."""
    return np.eye(64)[list(numbers)]


def test_the_smallest_margin_comes_first_where_nothing_was_seen() -> None:
    assert spread(np.array([0.4, 0.1, 0.7]), directions(0, 1, 2), NOTHING_SEEN, 3) == [1, 0, 2]


def test_fifty_near_copies_of_one_doubtful_picture_take_one_of_the_first_ten_places() -> None:
    rng = np.random.default_rng(1)
    copies = directions(0).repeat(50, axis=0) + rng.normal(0, 0.002, (50, 64))
    others = directions(*range(1, 31))
    margins = np.concatenate([np.full(50, 0.01), np.linspace(0.2, 0.5, 30)])

    picked = spread(margins, np.concatenate([copies, others]), NOTHING_SEEN, 10)

    assert sum(position < 50 for position in picked) == 1


def test_a_picture_like_one_that_was_seen_waits() -> None:
    margins = np.array([0.05, 0.3])
    assert spread(margins, directions(0, 1), directions(0), 2) == [1, 0]


def test_equal_pictures_go_by_margin_and_then_by_order() -> None:
    margins = np.array([0.5, 0.2, 0.2])
    assert spread(margins, directions(3, 3, 3), NOTHING_SEEN, 3) == [1, 2, 0]


def test_a_picture_without_a_sketch_lies_at_the_unknown_distance() -> None:
    sketches = np.concatenate([directions(0), np.full((1, 64), np.nan), directions(0) * 0.9])
    margins = np.array([0.1, 0.1, 0.1])
    assert spread(margins, sketches, NOTHING_SEEN, 3) == [0, 1, 2]
    assert UNKNOWN_DISTANCE == 1


def test_no_pictures_are_no_picks() -> None:
    assert spread(np.empty(0), NOTHING_SEEN, NOTHING_SEEN, 5) == []


def test_counts_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="2 margins for 1 sketches"):
        spread(np.zeros(2), directions(0), NOTHING_SEEN, 1)


@given(st.lists(st.floats(0, 1), max_size=30), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_every_pick_is_another_picture_and_the_count_is_kept(
    margins: list[float], count: int, seed: int
) -> None:
    sketches = np.random.default_rng(seed).normal(size=(len(margins), 64))
    picked = spread(np.array(margins), sketches, NOTHING_SEEN, count)
    assert len(picked) == len(set(picked)) == min(count, len(margins))
