"""Uncertain pictures are spread out: near copies of one picture do not fill the first places."""

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from ml.diversity import INCOMPARABLE, Point, pick


def direction(axis: int, *, length: float = 1.0) -> npt.NDArray[np.float64]:
    vector = np.zeros(64)
    vector[axis] = length
    return vector


def point(margin: float, vector: npt.NDArray[np.float64] | None = None, *, space: int = 1) -> Point:
    packed = None if vector is None else vector.astype("<f2").tobytes()
    return Point(margin=margin, space=space, sketch=packed)


def test_the_smallest_margin_comes_first_where_nothing_was_seen() -> None:
    pool = [point(0.4, direction(0)), point(0.1, direction(1)), point(0.7, direction(2))]
    assert pick(pool, [], 3) == [1, 0, 2]


def test_fifty_near_copies_of_one_doubtful_picture_take_one_of_the_first_ten_places() -> None:
    rng = np.random.default_rng(1)
    copies = [point(0.01, direction(0) + rng.normal(0, 0.002, 64)) for _copy in range(50)]
    others = [point(0.2 + axis / 100, direction(axis)) for axis in range(1, 31)]

    picked = pick(copies + others, [], 10)

    assert sum(index < 50 for index in picked) == 1


def test_a_picture_like_one_that_was_seen_waits() -> None:
    pool = [point(0.05, direction(0)), point(0.3, direction(1))]
    assert pick(pool, [point(0.9, direction(0))], 2) == [1, 0]


def test_equal_pictures_go_by_their_order() -> None:
    assert pick([point(0.2, direction(3))] * 3, [], 3) == [0, 1, 2]


def test_sketches_of_two_versions_are_not_compared() -> None:
    seen = [point(0.9, direction(0))]
    pool = [point(0.1, direction(0)), point(0.1, direction(0), space=2)]
    assert pick(pool, seen, 2) == [1, 0]


def test_a_picture_without_a_sketch_lies_at_the_distance_of_what_cannot_be_compared() -> None:
    far, near = direction(1, length=2 * INCOMPARABLE), direction(0, length=0.5 * INCOMPARABLE)
    origin = point(0.9, direction(0, length=0.0))
    pool = [point(0.1, near), point(0.1), point(0.1, far)]
    assert pick(pool, [origin], 2) == [2, 1]


def test_no_pictures_are_no_picks() -> None:
    assert pick([], [], 5) == []


@given(st.lists(st.floats(0, 1), max_size=30), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_every_pick_is_another_picture_and_the_count_is_kept(
    margins: list[float], count: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    picked = pick([point(margin, rng.normal(size=64)) for margin in margins], [], count)
    assert len(picked) == len(set(picked)) == min(count, len(margins))
