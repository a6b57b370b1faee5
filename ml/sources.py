"""Folders, zips, manifests, arrays → every readable picture, hashed and looked at once."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.archives import unpack_zip
from ml.duplicates import Look, look_at
from ml.errors import DatasetError, ImageError
from ml.folders import FolderIndex, LabelledFile, index_folder, readable_name, without_wrapping
from ml.health import SkippedFile
from ml.images import MAX_FILE_BYTES, decode_image
from ml.manifests import index_manifest
from ml.npz import read_npz
from ml.parallel import on_all_cores
from ml.progress import progress_bar
from ml.quality import Quality, judge
from ml.splits import SPLITS, TRAIN_PART, Part, Split

MIN_CLASSES = 2
REASONS_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A readable picture before copies are left out."""

    name: str
    label: str
    sha256: str
    path: Path
    index: int | None = None
    part: Part | None = None
    splits: tuple[Split, ...] = SPLITS
    """Those that the source allows it."""
    flat: bool
    """Nearly one colour."""
    look: Look | None = None
    """None for rows of an `.npz`, which are not searched for near duplicates."""
    quality: Quality | None = None
    short_side_px: int | None = None


@dataclass(slots=True, kw_only=True)
class Found:
    """What the sources hold."""

    labels: set[str]
    """Those that must have a readable picture: of class folders, even empty ones."""
    files: list[LabelledFile]
    pictures: list[Picture]
    skipped: list[SkippedFile]


def read_sources(
    sources: Sequence[Path],
    *,
    unpack_dir: Path,
    reviewed: Sequence[LabelledFile],
    progress: bool,
) -> Found:
    """Read what `ml.dataset.load_dataset` is given; every label has a readable picture.

    A label that only reviewed predictions carry counts once one of them can be read.

    Raises:
        DatasetError: as listed there, except for conflicting labels and missing splits.
    """
    found = Found(labels=set(), files=list(reviewed), pictures=[], skipped=[])
    for source in dict.fromkeys(source.resolve() for source in sources):
        _collect(source, unpack_dir, found)
    _read_files(found, progress=progress)
    found.labels.update(picture.label for picture in found.pictures)
    _check_classes(found)
    return found


def _collect(source: Path, unpack_dir: Path, found: Found) -> None:
    """Add what one source holds to `found`; only an `.npz` is read already."""
    name = readable_name(source.name)
    suffix = source.suffix.lower()
    if not source.exists():
        raise DatasetError(
            "missing_source",
            f"{source} does not exist. Pass a folder with one folder for each class, a .zip of "
            "such a folder, a .csv of paths and labels, an .npz, or the name of a known set.",
        )
    if source.is_dir():
        _add(index_folder(source, name), found)
    elif suffix == ".zip":
        root, wrapping = without_wrapping(unpack_zip(source, unpack_dir))
        _add(index_folder(root, f"{name}/{wrapping}" if wrapping else name, packed=True), found)
    elif suffix == ".csv":
        _add(index_manifest(source, name), found)
    elif suffix == ".npz":
        for row in read_npz(source).rows():
            found.labels.add(row.label)
            found.pictures.append(
                Picture(
                    name=f"{name}[{row.part} {row.index}]",
                    label=row.label,
                    sha256=row.sha256,
                    path=source,
                    index=row.index,
                    part=row.part,
                    splits=("test",) if row.part == "test" else TRAIN_PART,
                    flat=row.flat,
                )
            )
    else:
        raise DatasetError(
            "unsupported_source",
            f"{source} is neither a folder nor a .zip, .csv or .npz file. Unpack it and pass the "
            "folder that holds one folder for each class.",
        )


def _add(index: FolderIndex, found: Found) -> None:
    found.labels.update(index.labels)
    found.files.extend(index.files)
    found.skipped.extend(index.skipped)


def _read_files(found: Found, *, progress: bool) -> None:
    """Read, hash and decode every file, on all cores; unreadable ones become skipped."""
    pictures = on_all_cores(_read_file, found.files)
    total, title = len(found.files), "Reading pictures"
    for read in progress_bar(pictures, title, total, show=progress and bool(found.files)):
        if isinstance(read, SkippedFile):
            found.skipped.append(read)
        else:
            found.pictures.append(read)


def _read_file(file: LabelledFile) -> Picture | SkippedFile:
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
    look = look_at(decoded.pixels)
    return Picture(
        name=file.name,
        label=file.label,
        sha256=hashlib.sha256(content).hexdigest(),
        path=file.path,
        splits=file.splits,
        flat=look.flat,
        look=look,
        quality=judge(decoded.pixels),
        short_side_px=min(decoded.width_px, decoded.height_px),
    )


def _check_classes(found: Found) -> None:
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
