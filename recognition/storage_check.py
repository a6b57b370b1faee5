"""Compare rows and files both ways: pictures and version folders, present and unaltered."""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from django.conf import settings

from ml.artifact import read_artifact
from ml.errors import ArtifactError
from recognition.models import ModelVersion, Prediction
from recognition.serving import metadata_sha256

SETTLED_AFTER_S: Final = 600  # younger files may belong to an upload or a training under way
TEMPORARY_SUFFIX: Final = ".part"  # of everything that is renamed once it is whole
ROWS_AT_ONCE: Final = 2000


class Fault(StrEnum):
    """What may be wrong with a row or a file."""

    MISSING = "missing"
    ALTERED = "altered"
    ORPHAN = "orphan"
    TEMPORARY = "temporary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault: where it is, and what is known of it."""

    fault: Fault
    path: Path
    detail: str

    @property
    def has_no_row(self) -> bool:
        """True where no row refers to the path, so that it may be deleted."""
        return self.fault in (Fault.ORPHAN, Fault.TEMPORARY)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageReport:
    """How much was compared, and what is wrong with it."""

    pictures: int
    versions: int
    findings: tuple[Finding, ...]


def check_storage() -> StorageReport:
    """Compare every row with its file and every file with its row; reads every byte."""
    # What is on disk is listed before any row is read: a picture stored meanwhile is then
    # in the rows and not in the list, which is looked at again below.
    files = _pictures_on_disk(Path(settings.MEDIA_ROOT))
    folders = _folders_on_disk(Path(settings.VERSIONS_DIR))
    pictures, picture_findings = _check_pictures(files)
    versions, version_findings = _check_versions(folders)
    findings = sorted([*picture_findings, *version_findings], key=lambda finding: finding.path)
    return StorageReport(pictures=pictures, versions=versions, findings=tuple(findings))


def delete_orphan(finding: Finding) -> bool:
    """Delete what no row refers to; return False where it is too young to be sure.

    Raises:
        OSError: it cannot be deleted.
    """
    path = finding.path
    if time.time() - path.lstat().st_mtime < SETTLED_AFTER_S:
        return False
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    return True


def _pictures_on_disk(root: Path) -> dict[str, Path]:
    """Return every file below the media directory by its path in rows."""
    return {path.relative_to(root).as_posix(): path for path in _files_below(root)}


def _files_below(root: Path) -> Iterator[Path]:
    for folder, _folders, names in os.walk(root):
        yield from (Path(folder, name) for name in names)


def _folders_on_disk(root: Path) -> dict[str, Path]:
    """Return every entry of the recognizers' version folders by its path in rows."""
    if not root.is_dir():
        return {}
    entries = [
        entry for home in root.iterdir() for entry in (home.iterdir() if home.is_dir() else (home,))
    ]
    return {entry.relative_to(root).as_posix(): entry for entry in entries}


def _check_pictures(files: Mapping[str, Path]) -> tuple[int, list[Finding]]:
    """Return the number of rows and the faults of pictures."""
    unclaimed = dict(files)
    findings, count = [], 0
    rows = Prediction.objects.order_by().values_list("id", "picture", "picture_sha256")
    for prediction_id, picture, expected in rows.iterator(chunk_size=ROWS_AT_ONCE):
        count += 1
        unclaimed.pop(picture, None)
        path = Path(settings.MEDIA_ROOT) / picture
        received = _sha256(path)
        if received == expected:
            continue
        if not Prediction.objects.filter(pk=prediction_id).exists():
            continue  # deleted while we looked, and its file with it
        fault = Fault.MISSING if received is None else Fault.ALTERED
        findings.append(
            Finding(fault=fault, path=path, detail=f"picture of prediction {prediction_id}")
        )
    return count, findings + _without_row(unclaimed, "picture")


def _check_versions(folders: Mapping[str, Path]) -> tuple[int, list[Finding]]:
    """Return the number of rows and the faults of version folders."""
    unclaimed = dict(folders)
    versions = ModelVersion.objects.select_related("recognizer").order_by("recognizer", "number")
    findings = []
    for version in versions:
        if not version.is_shipped:
            unclaimed.pop(version.directory, None)
        findings += _faults_of_version(version)
    return len(versions), findings + _without_row(unclaimed, "version folder")


def _faults_of_version(version: ModelVersion) -> list[Finding]:
    try:
        metadata = read_artifact(version.path)
        if metadata_sha256(version.path) != version.metadata_sha256:
            detail = f"{version}: metadata.json is not the one that was registered"
        elif list(metadata.labels) != version.labels:
            detail = f"{version}: the folder has other labels than the row"
        else:
            return []
    except ArtifactError as error:
        fault = Fault.MISSING if error.code == "missing_file" else Fault.ALTERED
        return [Finding(fault=fault, path=version.path, detail=f"{version}: {error.message}")]
    return [Finding(fault=Fault.ALTERED, path=version.path, detail=detail)]


def _without_row(unclaimed: Mapping[str, Path], what: str) -> list[Finding]:
    """Return the paths that no row claims, less those whose row or end came meanwhile."""
    still_there = {name: path for name, path in unclaimed.items() if os.path.lexists(path)}
    claimed = _claimed(list(still_there))
    return [
        Finding(fault=Fault.TEMPORARY, path=path, detail=f"leftover of a {what} never finished")
        if path.name.endswith(TEMPORARY_SUFFIX)
        else Finding(fault=Fault.ORPHAN, path=path, detail=f"{what} without a row")
        for name, path in still_there.items()
        if name not in claimed
    ]


def _claimed(names: list[str]) -> set[str]:
    """Return which of the paths a row names by now."""
    claimed: set[str] = set()
    for start in range(0, len(names), ROWS_AT_ONCE):
        some = names[start : start + ROWS_AT_ONCE]
        claimed.update(
            Prediction.objects.filter(picture__in=some).values_list("picture", flat=True)
        )
        claimed.update(
            ModelVersion.objects.filter(directory__in=some, is_shipped=False).values_list(
                "directory", flat=True
            )
        )
    return claimed


def _sha256(path: Path) -> str | None:
    """Return the SHA-256 of a file in hex, or None where there is no file to read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
