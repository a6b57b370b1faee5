"""A picture keeps its split, whatever is added around it."""

import hashlib
import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import DatasetError
from ml.splits import SPLITS, TRAIN_PART, GroupFacts, Split, assign_splits, split_of, strength


def group_id(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


LABELS = ("ants", "bees", "slugs")
FACTS = st.builds(
    GroupFacts,
    labels=st.frozensets(st.sampled_from(LABELS), min_size=1, max_size=2),
    allowed=st.just(SPLITS) | st.sampled_from(SPLITS).map(lambda split: (split,)),
)
GROUPS = st.dictionaries(st.integers(0, 10_000).map(group_id), FACTS, max_size=60)


def facts(label: str = "ants", known: Split | None = None) -> GroupFacts:
    return GroupFacts(labels=frozenset({label}), allowed=(known,) if known else SPLITS)


def test_splits_are_seventy_fifteen_fifteen() -> None:
    counts = Counter(split_of(group_id(number)) for number in range(20_000))
    shares = {split: counts[split] / 20_000 for split in SPLITS}
    assert shares == pytest.approx({"train": 0.70, "validation": 0.15, "test": 0.15}, abs=0.01)


def test_the_split_of_a_group_never_changes_between_releases() -> None:
    expected = ["train", "test", "train", "train", "test", "train", "test", "train"]
    assert [split_of(group_id(number)) for number in range(8)] == expected


def test_test_is_stronger_than_validation_and_what_is_settled_than_what_is_open() -> None:
    by_strength: list[tuple[Split, ...]] = [
        SPLITS, ("train", "validation"), ("train",), ("validation",), ("test",)
    ]  # fmt: skip
    assert all(strength(a) < strength(b) for a, b in pairwise(by_strength))


@settings(deadline=None)
@given(GROUPS, st.randoms(use_true_random=False))
def test_the_order_of_groups_does_not_matter(
    groups: dict[str, GroupFacts], shuffler: random.Random
) -> None:
    shuffled = list(groups.items())
    shuffler.shuffle(shuffled)
    assert outcome(groups) == outcome(dict(shuffled))


@settings(deadline=None)
@given(GROUPS)
def test_known_groups_keep_their_split_and_every_class_has_all_three(
    groups: dict[str, GroupFacts],
) -> None:
    splits = outcome(groups)
    if splits is None:
        return
    for group, its in groups.items():
        assert splits[group] in its.allowed
    for label in {label for its in groups.values() for label in its.labels}:
        assert {splits[g] for g, its in groups.items() if label in its.labels} == set(SPLITS)


@settings(deadline=None)
@given(GROUPS, GROUPS)
def test_added_pictures_move_none_that_an_earlier_training_knew(
    first: dict[str, GroupFacts], added: dict[str, GroupFacts]
) -> None:
    before = outcome(first)
    if before is None:
        return
    later = added | {
        group: GroupFacts(labels=its.labels, allowed=(before[group],))
        for group, its in first.items()
    }
    after = outcome(later)
    if after is not None:
        assert {group: after[group] for group in before} == before


@settings(deadline=None)
@given(st.integers(3, 12), st.integers(0, 1000))
def test_three_different_pictures_of_a_class_are_enough(size: int, start: int) -> None:
    groups = {group_id(start + number): facts() for number in range(size)}
    splits = assign_splits(groups)
    assert set(splits.values()) == set(SPLITS)
    moved = [group for group in groups if splits[group] != split_of(group)]
    assert len(moved) <= 2


def test_a_class_with_all_splits_is_left_as_the_hash_says() -> None:
    groups = {group_id(number): facts() for number in range(200)}
    assert assign_splits(groups) == {group: split_of(group) for group in groups}


def test_two_different_pictures_are_refused_with_class_counts_and_need() -> None:
    groups = {group_id(n): facts("bees") for n in range(50)}
    groups |= {group_id(n): facts("ants") for n in (51, 52)}
    with pytest.raises(DatasetError) as caught:
        assign_splits(groups)
    assert caught.value.code == "class_missing_from_split"
    assert "class 'ants' has no picture for" in caught.value.message
    assert "2 different pictures" in caught.value.message
    assert "at least 3 different pictures" in caught.value.message
    assert "bees" not in caught.value.message


def test_a_class_of_known_training_pictures_only_is_refused() -> None:
    groups = {group_id(n): facts(known="train") for n in range(9)}
    with pytest.raises(DatasetError, match="no picture for validation and test"):
        assign_splits(groups)


def test_new_pictures_fill_the_split_that_known_ones_lack() -> None:
    groups = {group_id(n): facts(known="train") for n in range(9)}
    groups |= {group_id(n): facts() for n in (20, 21)}
    assert {assign_splits(groups)[group_id(n)] for n in (20, 21)} == {"validation", "test"}


def test_a_sources_own_test_rows_are_never_trained_on() -> None:
    groups = {
        group_id(n): GroupFacts(
            labels=frozenset({"7"}), allowed=("test",) if n % 3 == 0 else TRAIN_PART
        )
        for n in range(3000)
    }
    splits = assign_splits(groups)
    assert {splits[g] for g, its in groups.items() if its.allowed == ("test",)} == {"test"}
    training = Counter(splits[g] for g, its in groups.items() if its.allowed == TRAIN_PART)
    assert set(training) == {"train", "validation"}
    assert training["validation"] / 2000 == pytest.approx(0.10, abs=0.02)


def outcome(groups: dict[str, GroupFacts]) -> dict[str, Split] | None:
    """Return the splits, or None where a class cannot have all three."""
    try:
        return assign_splits(groups)
    except DatasetError:
        return None
