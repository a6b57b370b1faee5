"""Sources of labelled pictures → one dataset, in which no picture is on both sides of a split.

Copies are found by hash and near copies by how they look; each group of them has one split,
which is a hash of the group, so that a picture keeps its split whatever is added around it.
The result depends on the pictures, labels and names alone: not on the order of files, the
machine or the day.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from ml.archives import unpack_zip
from ml.duplicates import Look, NearDuplicates, find_near_duplicates, look_at
from ml.errors import DatasetError, ImageError
from ml.examples import Dataset, Example, read_known_splits, read_pixels, write_examples_csv
from ml.folders import FolderIndex, LabelledFile, index_folder, readable_name, without_wrapping
from ml.health import TINY_SIDE_PX, Copies, HealthReport, LabelledName, SkippedFile
from ml.images import MAX_FILE_BYTES, decode_image
from ml.npz import read_npz
from ml.splits import GroupFacts, Part, Split, assign_splits, split_of, strongest

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

MIN_CLASSES = 2
CONFLICTS_SHOWN = 20
REASONS_SHOWN = 3
NO_KNOWN_SPLITS: Mapping[str, Split] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    """A readable picture before copies are left out."""

    name: str
    label: str
    sha256: str
    path: Path
    index: int | None = None
    part: Part | None = None
    look: Look | None = None
    """None for rows of an `.npz`, which are not searched for near duplicates."""
    short_side_px: int | None = None


@dataclass(slots=True, kw_only=True)
class _Found:
    """What the sources hold."""

    labels: set[str]
    """Those that must have a readable picture: of class folders, even empty ones."""
    files: list[LabelledFile]
    pictures: list[_Picture]
    skipped: list[SkippedFile]


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
    found = _Found(labels=set(), files=list(reviewed), pictures=[], skipped=[])
    for source in dict.fromkeys(source.resolve() for source in sources):
        _collect(source, unpack_dir, found)
    _read_files(found, progress=progress)
    found.labels.update(picture.label for picture in found.pictures)
    _check_classes(found)

    pictures, copies = _without_copies(found.pictures)
    near = _near_duplicates(pictures)
    groups = _group_ids(pictures, near)
    members: dict[str, list[_Picture]] = defaultdict(list)
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


def _collect(source: Path, unpack_dir: Path, found: _Found) -> None:
    """Add what one source holds to `found`; only an `.npz` is read already."""
    name = readable_name(source.name)
    suffix = source.suffix.lower()
    if not source.exists():
        raise DatasetError(
            "missing_source",
            f"{source} does not exist. Pass a folder with one folder for each class, a .zip of "
            "such a folder, or an .npz.",
        )
    if source.is_dir():
        _add(index_folder(source, name), found)
    elif suffix == ".zip":
        root, wrapping = without_wrapping(unpack_zip(source, unpack_dir))
        _add(index_folder(root, f"{name}/{wrapping}" if wrapping else name, packed=True), found)
    elif suffix == ".npz":
        for row in read_npz(source).rows():
            found.labels.add(row.label)
            found.pictures.append(
                _Picture(
                    name=f"{name}[{row.part} {row.index}]",
                    label=row.label,
                    sha256=row.sha256,
                    path=source,
                    index=row.index,
                    part=row.part,
                )
            )
    else:
        raise DatasetError(
            "unsupported_source",
            f"{source} is neither a folder nor a .zip or .npz file. Unpack it and pass the folder "
            "that holds one folder for each class.",
        )


def _add(index: FolderIndex, found: _Found) -> None:
    found.labels.update(index.labels)
    found.files.extend(index.files)
    found.skipped.extend(index.skipped)


def _read_files(found: _Found, *, progress: bool) -> None:
    """Read, hash and decode every file, on all cores; unreadable ones become skipped."""
    workers = os.cpu_count() or 1
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(
            total=len(found.files),
            desc="Reading pictures",
            unit="picture",
            disable=not progress or not found.files,
        ) as bar,
    ):
        try:
            for read in pool.map(_read_file, found.files):
                bar.update()
                if isinstance(read, SkippedFile):
                    found.skipped.append(read)
                else:
                    found.pictures.append(read)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C need not wait for the rest
            raise


def _read_file(file: LabelledFile) -> _Picture | SkippedFile:
    try:
        if not file.path.is_file():
            reason = "not a file" if file.path.exists() else "the file does not exist"
            return SkippedFile(name=file.name, reason=reason)
        with file.path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
        decoded = decode_image(content)
    except ImageError as error:
        return SkippedFile(name=file.name, reason=error.message)
    except OSError as error:
        return SkippedFile(name=file.name, reason=f"cannot be read: {error.strerror}")
    return _Picture(
        name=file.name,
        label=file.label,
        sha256=hashlib.sha256(content).hexdigest(),
        path=file.path,
        look=look_at(decoded.pixels),
        short_side_px=min(decoded.width_px, decoded.height_px),
    )


def _check_classes(found: _Found) -> None:
    if len(found.labels) < MIN_CLASSES:
        raise DatasetError(
            "too_few_classes",
            f"Found {len(found.labels)} classes ({', '.join(sorted(found.labels)) or 'none'}); at "
            f"least {MIN_CLASSES} are needed to tell apart. Add a folder for each further class.",
        )
    empty = found.labels - {picture.label for picture in found.pictures}
    if empty:
        unreadable = {file.name: file.label for file in found.files}
        reasons = [
            f"{file.name}: {file.reason}"
            for file in found.skipped
            if unreadable.get(file.name) in empty
        ]
        more = len(reasons) - REASONS_SHOWN
        told = "; ".join(reasons[:REASONS_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise DatasetError(
            "empty_class",
            f"No readable picture of {', '.join(map(repr, sorted(empty)))}"
            + (f" ({told})" if told else "")
            + ". Add pictures, or remove the class.",
        )


def _without_copies(found: Iterable[_Picture]) -> tuple[list[_Picture], tuple[Copies, ...]]:
    """Return every picture once, sorted by label and name, and which copies were left out.

    Of copies the first by name stays, a test row of an `.npz` before its train rows.
    """
    by_hash: dict[str, list[_Picture]] = defaultdict(list)
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


def _check_conflicts(copies: Iterable[Sequence[_Picture]]) -> None:
    conflicts = []
    for same in copies:
        first = same[0]
        other = next((picture for picture in same if picture.label != first.label), None)
        if other is not None:
            conflicts.append(f"{first.name} ({first.label}) = {other.name} ({other.label})")
    if conflicts:
        more = len(conflicts) - CONFLICTS_SHOWN
        raise DatasetError(
            "conflicting_labels",
            f"The same picture stands under two labels {len(conflicts):,} times: "
            + "; ".join(conflicts[:CONFLICTS_SHOWN])
            + (f"; and {more:,} more" if more > 0 else "")
            + ". Keep each picture under its right label only.",
        )


def _near_duplicates(pictures: Sequence[_Picture]) -> NearDuplicates:
    """Find near duplicates among the pictures that have a look; positions are of `pictures`."""
    positions = [i for i, picture in enumerate(pictures) if picture.look is not None]
    near = find_near_duplicates([p.look for p in pictures if p.look is not None])
    return NearDuplicates(
        groups=tuple(tuple(positions[i] for i in group) for group in near.groups),
        crowded=tuple(positions[i] for i in near.crowded),
    )


def _group_ids(pictures: Sequence[_Picture], near: NearDuplicates) -> dict[str, str]:
    """Return sha256 → group id, the smallest sha256 of the group."""
    ids = {picture.sha256: picture.sha256 for picture in pictures}
    for group in near.groups:
        hashes = [pictures[position].sha256 for position in group]
        ids.update(dict.fromkeys(hashes, min(hashes)))
    return ids


def _facts(pictures: Sequence[_Picture], known_splits: Mapping[str, Split]) -> GroupFacts:
    part = pictures[0].part  # rows of an .npz are alone in their groups
    known = (known_splits[p.sha256] for p in pictures if p.sha256 in known_splits)
    return GroupFacts(
        labels=frozenset(picture.label for picture in pictures),
        known=None if part else strongest(known),
        part=part,
    )


def _class_counts(pictures: Iterable[_Picture]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for picture in pictures:
        counts[picture.label] += 1
    return dict(sorted(counts.items()))
