"""Near duplicates: pictures that show the same thing apart from scale, compression or tint.

A picture and its re-encoded copy on both sides of a split would test a network on what it
has learned. Each picture gets a `Look`; looks that agree are joined into groups. Everything
is integer arithmetic, so that another machine finds the same groups.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from ml.images import Pixels, resize

HASH_SIDE_PX = 32
THUMBNAIL_SIDE_PX = 16
MAX_DISTANCE = 3  # of 64 bits; four bands of 16 bits find every pair up to it
MIN_CORRELATION_PERCENT = 98  # of the thumbnails; drawings collide in the hash far below it
FLAT_DEVIATION = 4  # grey levels; below it the hash is made of noise
MAX_ALIKE = 50  # pictures; more is a fixed camera or a stack of forms, not copies
BANDS = 4
BAND_BITS = 16
PAIRS_AT_ONCE = 1 << 20  # bounds the memory of one step to some 30 MiB

_GREY_WEIGHTS = np.array([299, 587, 114], dtype=np.int64)  # thousandths, ITU-R BT.601
_FREQUENCIES = np.arange(8)
_COSINES = np.round(
    1024 * np.cos(np.pi * _FREQUENCIES[:, None] * (2 * np.arange(HASH_SIDE_PX) + 1) / 64)
).astype(np.int64)

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a picture looks from afar."""

    hash: int
    """64-bit perceptual hash."""
    thumbnail: npt.NDArray[np.int16]
    """Grey, flattened, mean zero up to rounding: (256,), 16 times the deviation in grey levels."""
    flat: bool
    """Nearly one colour: its hash says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicates:
    """Which of the looks belong together, by their positions."""

    groups: tuple[tuple[int, ...], ...]
    """Groups of two or more positions, each ascending."""
    crowded: tuple[int, ...]
    """Positions of pictures that resemble more than `MAX_ALIKE` others: left ungrouped."""


def look_at(pixels: Pixels) -> Look:
    """Return the look of a picture.

    The hash has one bit for each of the lowest 8 by 8 frequencies of the cosine transform of
    the picture in grey at 32 by 32 px, set where the coefficient is positive; the first, which
    is the brightness, stays 0. After Zauner, "Implementation and Benchmarking of Perceptual
    Image Hash Functions" (2010), with zero in place of the median: for 300 photos halved in
    size and compressed at quality 75, all stay within distance 3 (98 % with the median, 95 %
    for a difference hash).

    Args:
        pixels: (height, width, 3) uint8.
    """
    grey = resize(pixels, HASH_SIDE_PX, HASH_SIDE_PX).astype(np.int64) @ _GREY_WEIGHTS // 1000
    bits = (_COSINES @ grey @ _COSINES.T > 0).ravel()
    bits[0] = False
    step = HASH_SIDE_PX // THUMBNAIL_SIDE_PX
    shape = (THUMBNAIL_SIDE_PX, step, THUMBNAIL_SIDE_PX, step)
    thumbnail = 4 * grey.reshape(shape).sum(axis=(1, 3)).ravel()
    thumbnail -= int(thumbnail.sum()) // thumbnail.size
    deviation = grey - int(grey.sum()) // grey.size
    return Look(
        hash=int.from_bytes(np.packbits(bits).tobytes()),
        thumbnail=thumbnail.astype(np.int16),
        flat=int((deviation**2).sum()) < FLAT_DEVIATION**2 * grey.size,
    )


def find_near_duplicates(looks: Sequence[Look]) -> NearDuplicates:
    """Join pictures whose hashes differ in at most 3 bits and whose thumbnails agree.

    Pairs are found by equal 16-bit bands of the hash (of four bands, one at least is equal
    within distance 3), not by comparing all with all. Flat pictures are never joined. Where
    more than `MAX_ALIKE` pictures would hang together, as those of a fixed camera do, none of
    them is: one group would put a whole class on one side of the split. The result depends on
    the set of looks only, not on their order.
    """
    by_hash: dict[int, list[int]] = defaultdict(list)
    for position, look in enumerate(looks):
        if not look.flat:
            by_hash[look.hash].append(position)
    hashes = np.array(sorted(by_hash), dtype=np.uint64)
    copies = np.array([len(by_hash[int(value)]) for value in hashes], dtype=np.int64)

    alike = copies - 1
    for left, right in _close_pairs(hashes):
        np.add.at(alike, left, copies[right])
        np.add.at(alike, right, copies[left])
    lonely = alike <= MAX_ALIKE
    crowded = [p for value in hashes[~lonely] for p in by_hash[int(value)]]

    groups = _Groups(len(looks))
    kept = hashes[lonely]
    for value in kept:
        _join_alike(groups, looks, combinations(by_hash[int(value)], 2))
    for left, right in _close_pairs(kept):
        for a, b in zip(kept[left], kept[right], strict=True):
            _join_alike(groups, looks, product(by_hash[int(a)], by_hash[int(b)]))

    found = groups.of_several()
    crowded += [p for group in found if len(group) > MAX_ALIKE for p in group]
    return NearDuplicates(
        groups=tuple(group for group in found if len(group) <= MAX_ALIKE),
        crowded=tuple(sorted(crowded)),
    )


def _join_alike(groups: "_Groups", looks: Sequence[Look], pairs: Iterator[tuple[int, int]]) -> None:
    for a, b in pairs:
        if _thumbnails_agree(looks[a], looks[b]):
            groups.join(a, b)


def _thumbnails_agree(a: Look, b: Look) -> bool:
    """Whether the correlation of two thumbnails reaches the bar, without rounding."""
    first, second = a.thumbnail.astype(np.int64), b.thumbnail.astype(np.int64)
    together = int(first @ second)
    apart = int(first @ first) * int(second @ second)
    return together > 0 and (100 * together) ** 2 >= MIN_CORRELATION_PERCENT**2 * apart


def _close_pairs(hashes: Hashes) -> Iterator[tuple[Indices, Indices]]:
    """Yield every pair of different hashes within `MAX_DISTANCE` once, in blocks of indices."""
    for band in range(BANDS):
        values = _band(hashes, band)
        order = np.argsort(values, kind="stable")
        ends = np.searchsorted(values[order], values[order], side="right")
        partners = ends - np.arange(len(hashes)) - 1  # those that follow in the same bucket
        start = 0
        while start < len(hashes):
            pairs_before = np.cumsum(partners[start:])
            stop = start + max(1, int(np.searchsorted(pairs_before, PAIRS_AT_ONCE)))
            counts = partners[start:stop]
            first = np.repeat(np.arange(start, start + len(counts)), counts)
            within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
            left, right = order[first], order[first + 1 + within]
            close = np.bitwise_count(hashes[left] ^ hashes[right]) <= MAX_DISTANCE
            for earlier in range(band):  # that band has yielded the pair already
                close &= _band(hashes[left], earlier) != _band(hashes[right], earlier)
            yield left[close], right[close]
            start = stop


def _band(hashes: Hashes, band: int) -> Hashes:
    return (hashes >> np.uint64(BAND_BITS * band)) & np.uint64((1 << BAND_BITS) - 1)


class _Groups:
    """Disjoint sets of positions."""

    def __init__(self, size: int) -> None:
        self._parents = list(range(size))

    def join(self, a: int, b: int) -> None:
        self._parents[self._root(a)] = self._root(b)

    def of_several(self) -> list[tuple[int, ...]]:
        members: dict[int, list[int]] = defaultdict(list)
        for position in range(len(self._parents)):
            members[self._root(position)].append(position)
        return [tuple(group) for group in members.values() if len(group) > 1]

    def _root(self, position: int) -> int:
        while self._parents[position] != position:
            self._parents[position] = self._parents[self._parents[position]]
            position = self._parents[position]
        return position
