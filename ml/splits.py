"""Which pictures a network learns from, chooses its epoch on, and is tested on."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ml.errors import DatasetError

Split = Literal["train", "validation", "test"]
Part = Literal["train", "test"]

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
TRAIN_PART: tuple[Split, ...] = ("train", "validation")
VALIDATION_FROM_PERCENT = 70  # of the hash range; below it is train
TEST_FROM_PERCENT = 85
PART_VALIDATION_FROM_PERCENT = 90  # of what a source with test pictures of its own has to train on
FEW_GROUPS_PER_CLASS = 3  # one for each split
ADVISED_PICTURES_PER_CLASS = 30  # about 5 of them are tested on


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """What decides the split of one near-duplicate group."""

    labels: frozenset[str]
    allowed: tuple[Split, ...] = SPLITS
    """The splits that the group may be put into: one where earlier trainings or the source
    have settled it, train and validation where the source only sets its test pictures apart."""


def split_of(group: str) -> Split:
    """Return the split that the hash of a group's id gives: 70 / 15 / 15 percent.

    The id is hashed again although it is a hash already: as the smallest of the group's it
    is not evenly spread.
    """
    percent = _percent(group)
    if percent < VALIDATION_FROM_PERCENT:
        return "train"
    return "validation" if percent < TEST_FROM_PERCENT else "test"


def strength(allowed: tuple[Split, ...]) -> tuple[bool, int, int]:
    """Return what sorts wishes: test over validation over train, settled over open."""
    return allowed != SPLITS, SPLITS.index(allowed[0]), -len(allowed)


def assign_splits(groups: Mapping[str, GroupFacts]) -> dict[str, Split]:
    """Give every group one split, so that each label has pictures in all three.

    A group's split is a function of its own id, or the one it is known by. Only where a label
    would miss a split do whole groups move there, those with the lowest hash for that split;
    groups that are known never move. The result does not depend on the order of `groups`.

    Raises:
        DatasetError: `class_missing_from_split`, naming every such class and its counts.
    """
    assigned: dict[str, Split] = {
        group: _first_split(group, facts) for group, facts in groups.items()
    }
    counts: Counter[tuple[str, Split]] = Counter()
    members: dict[str, list[str]] = {}
    for group, facts in groups.items():
        for label in facts.labels:
            counts[label, assigned[group]] += 1
            members.setdefault(label, []).append(group)

    missing = _missing(members, counts)
    while missing:
        moves = 0
        for label, split in missing:
            if counts[label, split]:
                continue  # a group of two labels that has moved may have brought it
            donor = _donor(split, members[label], groups, assigned, counts)
            if donor is None:
                continue
            for its_label in groups[donor].labels:
                counts[its_label, assigned[donor]] -= 1
                counts[its_label, split] += 1
            assigned[donor] = split
            moves += 1
        missing = _missing(members, counts)
        if not moves:
            break
    if missing:
        raise _missing_error(missing, counts, members, groups)
    return assigned


def _percent(group: str) -> int:
    """Where in 0…99 the hash of a group's id falls."""
    return _rank("split", group) * 100 >> 64


def _rank(purpose: str, group: str) -> int:
    digest = hashlib.sha256(f"{purpose}:{group}".encode()).digest()
    return int.from_bytes(digest[:8])


def _first_split(group: str, facts: GroupFacts) -> Split:
    if facts.allowed == SPLITS:
        return split_of(group)
    if facts.allowed == TRAIN_PART:
        return "validation" if _percent(group) >= PART_VALIDATION_FROM_PERCENT else "train"
    return facts.allowed[0]


def _missing(
    labels: Iterable[str], counts: Mapping[tuple[str, Split], int]
) -> list[tuple[str, Split]]:
    return [
        (label, split)
        for label in sorted(labels)
        for split in reversed(SPLITS)
        if not counts[label, split]
    ]


def _donor(
    split: Split,
    candidates: Iterable[str],
    groups: Mapping[str, GroupFacts],
    assigned: Mapping[str, Split],
    counts: Mapping[tuple[str, Split], int],
) -> str | None:
    """Return the group that can go to `split` and leave no label without what it had."""
    able = [
        group
        for group in candidates
        if assigned[group] != split
        and split in groups[group].allowed
        and all(counts[label, assigned[group]] > 1 for label in groups[group].labels)
    ]
    return min(
        able,
        key=lambda group: (assigned[group] != "train", _rank(split, group), group),
        default=None,
    )


def _missing_error(
    missing: Iterable[tuple[str, Split]],
    counts: Mapping[tuple[str, Split], int],
    members: Mapping[str, list[str]],
    groups: Mapping[str, GroupFacts],
) -> DatasetError:
    lines = []
    for label in sorted({label for label, _ in missing}):
        has = ", ".join(f"{split} {counts[label, split]}" for split in SPLITS)
        lacks = " and ".join(split for split in SPLITS if not counts[label, split])
        settled = sum(groups[group].allowed != SPLITS for group in members[label])
        why = f"; {settled} of them keep the split they already have" if settled else ""
        lines.append(
            f"class {label!r} has no picture for {lacks} ({len(members[label])} different "
            f"pictures: {has}{why})"
        )
    return DatasetError(
        "class_missing_from_split",
        "Every class needs pictures to train on, to validate on and to test on, but "
        + "; ".join(lines)
        + f". Give each at least {FEW_GROUPS_PER_CLASS} different pictures (copies and "
        f"near-duplicates count once; {ADVISED_PICTURES_PER_CLASS} or more make the figures "
        "mean something), or leave the class out.",
    )
