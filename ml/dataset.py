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
from ml.sources import Picture, read_sources
from ml.splits import GroupFacts, Split, assign_splits, split_of, strongest

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
        sources: folders with a folder for each class, zips of such folders, `.npz` files with
            `x_train, y_train, x_test, y_test`; merged by label.
        unpack_dir: where zips are unpacked to, and found again.
        reviewed: predictions with the label that a reviewer gave.
        known_splits: sha256 → split of earlier trainings. A known picture keeps its split and
            its near-duplicate group follows; where groups merge, test wins over validation over
            train.
        progress: show a bar on standard error.

    Raises:
        DatasetError: `missing_source`, `unsupported_source`, `no_class_folders`,
            `nested_folders`, `empty_class`, `too_few_classes`, `conflicting_labels`,
            `class_missing_from_split`, and what `ml.archives` and `ml.npz` refuse.
    """
    found = read_sources(sources, unpack_dir=unpack_dir, reviewed=reviewed, progress=progress)
    pictures, copies = _without_copies(found.pictures)
    near = _near_duplicates(pictures)
    groups = _group_ids(pictures, near)
    members: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        members[groups[picture.sha256]].append(picture)
    splits = assign_splits({group: _facts(its, known_splits) for group, its in members.items()})

    examples = [
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
    ]
    skipped = tuple(sorted(found.skipped, key=lambda file: (file.name, file.reason)))
    return Dataset(
        labels=tuple(sorted(found.labels)),
        examples=tuple(examples),
        skipped=skipped,
        health=HealthReport(
            pictures=len(pictures),
            class_counts=_class_counts(pictures),
            skipped=skipped,
            exact_duplicates=copies,
            near_duplicate_groups=tuple(
                tuple(
                    LabelledName(name=pictures[position].name, label=pictures[position].label)
                    for position in group
                )
                for group in near.groups
            ),
            crowded=tuple(pictures[position].name for position in near.crowded),
            flat=tuple(p.name for p in pictures if p.look is not None and p.look.flat),
            tiny=tuple(
                p.name
                for p in pictures
                if p.short_side_px is not None and p.short_side_px < TINY_SIDE_PX
            ),
            changed_split=tuple(
                example.name
                for example in examples
                if example.part is None
                and known_splits.get(example.sha256, example.split) != example.split
            ),
        ),
    )


def _without_copies(found: Iterable[Picture]) -> tuple[list[Picture], tuple[Copies, ...]]:
    """Return every picture once, sorted by label and name, and which copies were left out.

    Of copies the first by name stays, a test row of an `.npz` before its train rows.
    """
    by_hash: dict[str, list[Picture]] = defaultdict(list)
    for picture in sorted(found, key=lambda p: (p.label, p.name, p.sha256, str(p.path))):
        by_hash[picture.sha256].append(picture)
    _check_conflicts(by_hash.values())
    pictures = []
    copies = []
    for same in by_hash.values():
        kept = min(same, key=lambda picture: picture.part == "train")
        pictures.append(kept)
        if len(same) > 1:
            left_out = tuple(picture.name for picture in same if picture is not kept)
            copies.append(Copies(kept=kept.name, left_out=left_out))
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
    part = pictures[0].part  # rows of an .npz are alone in their groups
    known = (known_splits[p.sha256] for p in pictures if p.sha256 in known_splits)
    return GroupFacts(
        labels=frozenset(picture.label for picture in pictures),
        known=None if part else strongest(known),
        part=part,
    )


def _class_counts(pictures: Iterable[Picture]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for picture in pictures:
        counts[picture.label] += 1
    return dict(sorted(counts.items()))
