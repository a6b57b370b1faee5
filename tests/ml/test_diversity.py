import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ml.diversity import Point, pick
from ml.sketch import sketch


def point(margin: float, direction: int | None, *, jitter: float = 0.0, space: int = 1) -> Point:
    """Return a picture that lies in one of many directions, or in none."""
    if direction is None:
        return Point(margin=margin, space=space, sketch=None)
    vector = np.zeros(256, np.float32)
    vector[direction] = 1
    vector[255] = jitter
    return Point(margin=margin, space=space, sketch=sketch(vector))


def test_the_least_sure_comes_first_where_nothing_was_seen() -> None:
    pool = [point(0.5, 1), point(0.1, 2), point(0.3, 3)]
    assert pick(pool, [], 1) == [1]


def test_pictures_all_equally_apart_come_by_margin() -> None:
    pool = [point(margin, None) for margin in (0.4, 0.1, 0.3, 0.2)]
    assert pick(pool, [], 4) == [1, 3, 2, 0]


def test_fifty_twins_do_not_fill_the_first_ten() -> None:
    twins = [point(0.01, 0, jitter=number / 10_000) for number in range(50)]
    others = [point(0.2 + number / 100, 1 + number) for number in range(20)]

    picked = pick(twins + others, [], 10)

    assert sum(index < len(twins) for index in picked) == 1
    assert picked[0] == 0


def test_a_twin_of_what_was_reviewed_waits() -> None:
    pool = [point(0.01, 0), point(0.6, 1)]
    assert pick(pool, [point(0.5, 0, jitter=0.001)], 1) == [1]


def test_sketches_of_two_versions_are_not_compared() -> None:
    pool = [point(0.1, 0, space=1), point(0.2, 0, space=2)]
    assert pick(pool, [point(0.5, 0, space=2)], 1) == [0]
    assert pick(pool, [point(0.5, 0, space=1)], 1) == [1]


def test_no_more_are_picked_than_there_are() -> None:
    assert pick([], [], 3) == []
    assert pick([point(0.1, 0)], [], 3) == [0]


@given(
    margins=st.lists(st.floats(0, 1, width=32), max_size=12),
    directions=st.lists(st.one_of(st.none(), st.integers(0, 3)), min_size=12, max_size=12),
    count=st.integers(0, 14),
)
def test_each_is_picked_once_and_the_same_again(
    margins: list[float], directions: list[int | None], count: int
) -> None:
    pool = [
        point(margin, direction) for margin, direction in zip(margins, directions, strict=False)
    ]
    seen = [point(0.5, 0)]
    picked = pick(pool, seen, count)
    assert len(set(picked)) == len(picked) == min(count, len(pool))
    assert picked == pick(pool, seen, count)
