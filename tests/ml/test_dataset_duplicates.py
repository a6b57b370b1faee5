"""Near duplicates are found however many pictures there are, and nothing else is."""

import io
import random
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from ml.duplicates import MAX_ALIKE, MAX_DISTANCE, Look, find_near_duplicates, look_at
from tests.ml.dataset_pictures import file_of, photo


def pixels_of(picture: Image.Image) -> npt.NDArray[np.uint8]:
    return np.asarray(picture.convert("RGB"))


def look(bits: int, seed: int = 0) -> Look:
    """Return a made-up look; the same seed gives thumbnails that agree."""
    thumbnail = np.random.default_rng(seed).integers(-999, 999, 256).astype(np.int16)
    return Look(hash=bits, thumbnail=thumbnail, flat=False)


def recompressed(picture: Image.Image) -> Image.Image:
    return Image.open(io.BytesIO(file_of(picture, "JPEG", quality=60)))


@pytest.mark.parametrize(
    "change",
    [
        recompressed,
        lambda picture: picture.resize((80, 60)),
        lambda picture: picture.resize((100, 100)),
        lambda picture: picture.convert("L"),
        lambda picture: ImageEnhance.Contrast(picture).enhance(0.8),
    ],
    ids=["recompressed", "halved", "stretched", "grey", "contrast"],
)
def test_a_changed_copy_is_found_among_other_pictures(
    change: Callable[[Image.Image], Image.Image],
) -> None:
    originals = [photo(seed, (160, 120)) for seed in range(30)]
    looks = [look_at(pixels_of(p)) for p in (*originals, *map(change, originals))]
    near = find_near_duplicates(looks)
    assert near.groups == tuple((n, n + 30) for n in range(30))
    assert near.crowded == ()


def test_flat_pictures_are_never_joined() -> None:
    flat = [np.full((40, 40, 3), value, np.uint8) for value in (0, 0, 128, 255)]
    noise = np.random.default_rng(0).integers(100, 103, (40, 40, 3), dtype=np.uint8)
    looks = [look_at(pixels) for pixels in (*flat, noise, noise)]
    assert all(one.flat for one in looks)
    assert find_near_duplicates(looks).groups == ()


def test_the_hash_alone_joins_nothing() -> None:
    assert find_near_duplicates([look(5, seed=1), look(5, seed=2)]).groups == ()
    assert find_near_duplicates([look(5, seed=1), look(5, seed=1)]).groups == ((0, 1),)


def test_a_negative_is_not_a_near_duplicate() -> None:
    one = look(5)
    other = Look(hash=5, thumbnail=-one.thumbnail, flat=False)
    assert find_near_duplicates([one, other]).groups == ()


@settings(deadline=None)
@given(
    st.integers(0, 2**64 - 1),
    st.sets(st.integers(0, 63), max_size=6),
)
def test_pairs_are_found_up_to_three_bits_wherever_they_differ(bits: int, flips: set[int]) -> None:
    other = bits
    for flip in flips:
        other ^= 1 << flip
    found = find_near_duplicates([look(bits), look(other)]).groups
    assert found == (((0, 1),) if len(flips) <= MAX_DISTANCE else ())


@pytest.mark.parametrize("equal_band", range(4))
def test_one_equal_band_is_enough_whichever_it_is(equal_band: int) -> None:
    differing = [16 * band + 5 for band in range(4) if band != equal_band]
    other = sum(1 << bit for bit in differing)
    assert find_near_duplicates([look(0), look(other)]).groups == ((0, 1),)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12), st.randoms())
def test_banding_finds_what_comparing_all_with_all_finds(
    seeds: list[int], shuffler: random.Random
) -> None:
    hashes = [seed ^ (1 << shuffler.randrange(64)) for seed in seeds for _ in range(3)]
    looks = [look(bits) for bits in hashes]
    groups = find_near_duplicates(looks).groups
    together = {(a, b) for group in groups for a in group for b in group}
    for a, first in enumerate(hashes):
        for b, second in enumerate(hashes):
            if a != b and (first ^ second).bit_count() <= MAX_DISTANCE:
                assert (a, b) in together
    order = list(range(len(looks)))
    shuffler.shuffle(order)
    shuffled = find_near_duplicates([looks[position] for position in order]).groups
    assert {frozenset(order[p] for p in group) for group in shuffled} == set(map(frozenset, groups))


def test_a_fixed_camera_does_not_become_one_group() -> None:
    alike = [look(7) for _ in range(MAX_ALIKE + 2)]
    near = find_near_duplicates([*alike, look(1 << 40), look(1 << 40)])
    assert near.crowded == tuple(range(MAX_ALIKE + 2))
    assert near.groups == ((MAX_ALIKE + 2, MAX_ALIKE + 3),)


def test_a_chain_of_small_changes_does_not_become_one_group() -> None:
    chain = [look((1 << bits) - 1) for bits in range(64)]
    near = find_near_duplicates(chain)
    assert near.groups == ()
    assert near.crowded == tuple(range(64))


def test_a_burst_of_a_few_frames_is_one_group() -> None:
    assert find_near_duplicates([look(7) for _ in range(MAX_ALIKE)]).groups == (
        tuple(range(MAX_ALIKE)),
    )


def test_thousands_of_pictures_that_hash_alike_are_handled() -> None:
    """Every pair of them is close; memory and time must not grow with their square."""
    looks = [look(bits % 2048, seed=bits % 7) for bits in range(8_000)]
    near = find_near_duplicates(looks)
    assert near.groups == ()
    assert len(near.crowded) == 8_000


def test_no_pictures_have_no_duplicates() -> None:
    assert find_near_duplicates([]).groups == ()
