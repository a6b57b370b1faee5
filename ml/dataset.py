"""Sources of labelled pictures → one dataset, in which no picture is on both sides of a split.

Copies are found by hash and near copies by how they look; each group of them has one split,
which is a hash of the group, so that a picture keeps its split whatever is added around it.
The result depends on the pictures, labels and names alone: not on the order of files, the
machine or the day.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ml.duplicates import NearDuplicates, find_near_duplicates
from ml.errors import DatasetError
from ml.examples import Dataset, Example, read_known_splits, read_pixels, write_examples_csv
from ml.folders import LabelledFile
from ml.health import TINY_SIDE_PX, Copies, HealthReport, LabelledName, SkippedFile
from ml.sources import Found, Picture, read_sources
from ml.splits import GroupFacts, Split, assign_splits, split_of, strength

__all__ = [
    "Dataset",
    "Example",
    "HealthReport",
    "LabelledFile",
    "SkippedFile",
    "Split",
    "load_dataset",
    "read_known_splits",
    "read_pixels",
    "split_of",
    "write_examples_csv",
]

CONFLICTS_SHOWN = 20
BLANK_IS_NORMAL = 0.1  # share of the pictures: then they are drawings, or shot on white
NO_KNOWN_SPLITS: Mapping[str, Split] = {}


def load_dataset(
    sources: Sequence[Path],
    *,
    unpack_dir: Path,
    reviewed: Sequence[LabelledFile] = (),
    known_splits: Mapping[str, Split] = NO_KNOWN_SPLITS,
    progress: bool = True,
) -> Dataset:
    """Read every picture of the sources once and give each a group and a split.

    Args:
        sources: folders with a folder for each class, zips of such folders, `.csv` files of
            paths and labels, `.npz` files with `x_train, y_train, x_test, y_test`; merged by
            label. For named sets see `ml.named_sets`.
        unpack_dir: where zips are unpacked to, and found again.
        reviewed: predictions with the label that a reviewer gave.
        known_splits: sha256 → split of earlier trainings. A known picture keeps its split and
            its near-duplicate group follows; where groups merge, test wins over validation over
            train.
        progress: show a bar on standard error.

    Raises:
        DatasetError: `missing_source`, `unsupported_source`, `no_class_folders`,
            `nested_folders`, `empty_class`, `too_few_classes`, `conflicting_labels`,
            `class_missing_from_split`, and what `ml.archives`, `ml.manifests` and `ml.npz` refuse.
    """
    found = read_sources(sources, unpack_dir=unpack_dir, reviewed=reviewed, progress=progress)
    pictures, copies = _without_copies(found.pictures)
    near = _near_duplicates(pictures)
    groups = _group_ids(pictures, near)
    members: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        members[groups[picture.sha256]].append(picture)
    splits = assign_splits({group: _facts(its, known_splits) for group, its in members.items()})

    examples = tuple(
        Example(
            name=picture.name,
            label=picture.label,
            sha256=picture.sha256,
            path=picture.path,
            index=picture.index,
            part=picture.part,
            group=groups[picture.sha256],
            split=splits[groups[picture.sha256]],
        )
        for picture in pictures
    )
    health = _health(found, pictures, copies, near, examples, known_splits)
    return Dataset(
        labels=tuple(sorted(found.labels)),
        examples=examples,
        skipped=health.skipped,
        health=health,
    )


def _health(
    found: Found,
    pictures: Sequence[Picture],
    copies: tuple[Copies, ...],
    near: NearDuplicates,
    examples: Sequence[Example],
    known_splits: Mapping[str, Split],
) -> HealthReport:
    """Return what was found; `examples` are of `pictures`, in the same order."""
    blank = [p for p in pictures if p.quality is not None and p.quality.is_blank and not p.flat]
    judged = sum(picture.quality is not None for picture in pictures)
    return HealthReport(
        pictures=len(pictures),
        class_counts=_class_counts(pictures),
        skipped=tuple(sorted(found.skipped, key=lambda file: (file.name, file.reason))),
        exact_duplicates=copies,
        near_duplicate_groups=tuple(
            _named(pictures[position] for position in group) for group in near.groups
        ),
        not_compared=sum(picture.look is None for picture in pictures),
        crowded=_named(pictures[position] for position in near.crowded),
        flat=_named(picture for picture in pictures if picture.flat),
        blank=_named(blank if len(blank) <= BLANK_IS_NORMAL * judged else ()),
        blurred=_named(p for p in pictures if p.quality is not None and p.quality.is_blurred),
        tiny=_named(
            picture
            for picture in pictures
            if picture.short_side_px is not None and picture.short_side_px < TINY_SIDE_PX
        ),
        changed_split=_named(
            example
            for example in examples
            if example.part is None
            and known_splits.get(example.sha256, example.split) != example.split
        ),
        unfollowed_split=_named(
            picture
            for picture, example in zip(pictures, examples, strict=True)
            if example.split not in picture.splits
        ),
    )


def _named(pictures: Iterable[Picture | Example]) -> tuple[LabelledName, ...]:
    return tuple(LabelledName(name=p.name, label=p.label, sha256=p.sha256) for p in pictures)


def _without_copies(found: Iterable[Picture]) -> tuple[list[Picture], tuple[Copies, ...]]:
    """Return every picture once, sorted by label and name, and which copies were left out.

    Of copies the first by name stays, one that is for testing before one for training.
    """
    by_hash: dict[str, list[Picture]] = defaultdict(list)
    for picture in sorted(found, key=lambda p: (p.label, p.name, p.sha256, str(p.path))):
        by_hash[picture.sha256].append(picture)
    _check_conflicts(by_hash.values())
    pictures = []
    copies = []
    for same in by_hash.values():
        kept = max(same, key=lambda picture: strength(picture.splits))
        pictures.append(kept)
        if len(same) > 1:
            left_out = tuple(picture.name for picture in same if picture is not kept)
            leaked = kept.splits == ("test",) and any("test" not in p.splits for p in same)
            copies.append(Copies(kept=_named([kept])[0], left_out=left_out, leaked=leaked))
    return sorted(pictures, key=lambda p: (p.label, p.name, p.sha256)), tuple(copies)


def _check_conflicts(copies: Iterable[Sequence[Picture]]) -> None:
    conflicts = [
        f"{same[0].name} ({same[0].label}) = {other.name} ({other.label})"
        for same in copies
        for other in same
        if other.label != same[0].label
    ]
    if conflicts:
        more = len(conflicts) - CONFLICTS_SHOWN
        raise DatasetError(
            "conflicting_labels",
            f"The same picture stands under two labels {len(conflicts):,} times: "
            + "; ".join(conflicts[:CONFLICTS_SHOWN])
            + (f"; and {more:,} more" if more > 0 else "")
            + ". Keep each picture under its right label only.",
        )


def _near_duplicates(pictures: Sequence[Picture]) -> NearDuplicates:
    """Find near duplicates among the pictures that have a look; positions are of `pictures`."""
    positions = [i for i, picture in enumerate(pictures) if picture.look is not None]
    near = find_near_duplicates([p.look for p in pictures if p.look is not None])
    return NearDuplicates(
        groups=tuple(tuple(positions[i] for i in group) for group in near.groups),
        crowded=tuple(positions[i] for i in near.crowded),
    )


def _group_ids(pictures: Sequence[Picture], near: NearDuplicates) -> dict[str, str]:
    """Return sha256 → group id, the smallest sha256 of the group."""
    ids = {picture.sha256: picture.sha256 for picture in pictures}
    for group in near.groups:
        hashes = [pictures[position].sha256 for position in group]
        ids.update(dict.fromkeys(hashes, min(hashes)))
    return ids


def _facts(pictures: Sequence[Picture], known_splits: Mapping[str, Split]) -> GroupFacts:
    return GroupFacts(
        labels=frozenset(picture.label for picture in pictures),
        allowed=max((_allowed(picture, known_splits) for picture in pictures), key=strength),
    )


def _allowed(picture: Picture, known_splits: Mapping[str, Split]) -> tuple[Split, ...]:
    """Return what a picture was in earlier trainings, else what its source allows."""
    if picture.part is None and picture.sha256 in known_splits:
        return (known_splits[picture.sha256],)
    return picture.splits


def _class_counts(pictures: Iterable[Picture]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for picture in pictures:
        counts[picture.label] += 1
    return dict(sorted(counts.items()))
