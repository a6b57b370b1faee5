"""The immutable folder of a model version: written whole or not at all, verified before use.

A version folder holds `metadata.json`, `model.tflite` and whatever else `metadata.files`
lists with its SHA-256, such as `novelty.npz`. Nothing that the metadata does not vouch for is
ever opened.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from ml.errors import ArtifactError
from ml.metadata import (
    FORMAT_VERSION,
    METADATA_NAME,
    NETWORK_NAME,
    NOVELTY_NAME,
    ArtifactMetadata,
    refuse,
)

__all__ = [
    "FORMAT_VERSION",
    "METADATA_NAME",
    "NETWORK_NAME",
    "NOVELTY_NAME",
    "ArtifactMetadata",
    "file_sha256",
    "read_artifact",
    "read_listed",
    "verified_file",
    "write_artifact",
]

MAX_METADATA_BYTES = 4 * 1024 * 1024  # a thousand labels take 0.1 MB


def write_artifact(
    directory: Path, metadata: ArtifactMetadata, files: Mapping[str, bytes]
) -> ArtifactMetadata:
    """Write a version folder so that it is there whole or not at all.

    Everything is written and synced in a folder beside `directory` that is renamed at the
    end, so neither `kill -9` nor a full disk can leave a folder that looks like a version.

    Args:
        directory: the new version's folder; its parents are made.
        metadata: `files` is filled here, whatever it holds.
        files: file name to content; `model.tflite` must be among them.

    Returns:
        The metadata as written, with the SHA-256 of every file.

    Raises:
        ArtifactError: `already_exists`, or `bad_metadata` for metadata that could not be
            read back.
        OSError: the disk is full or the place is not writable; nothing is left behind.
    """
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    metadata = dataclasses.replace(metadata, files=digests)
    try:
        text = json.dumps(metadata.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        refuse(f"it cannot be written as JSON ({error})")
    ArtifactMetadata.from_dict(json.loads(text))
    if directory.exists():
        raise ArtifactError(
            "already_exists",
            f"{directory.name} exists already and versions are never overwritten. "
            "Choose another folder.",
        )
    directory.parent.mkdir(parents=True, exist_ok=True)
    for leftover in directory.parent.glob(f".{directory.name}.*.part"):
        shutil.rmtree(leftover, ignore_errors=True)  # of a run that was killed here
    part = directory.with_name(f".{directory.name}.{uuid.uuid4().hex}.part")
    try:
        part.mkdir()
        for name, content in files.items():
            _write_synced(part / name, content)
        _write_synced(part / METADATA_NAME, text.encode() + b"\n")
        _sync_directory(part)
        part.rename(directory)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    _sync_directory(directory.parent)
    return metadata


def read_artifact(directory: Path) -> ArtifactMetadata:
    """Return the metadata of a version folder after verifying every file it lists.

    Raises:
        ArtifactError: `missing_file`, `altered_file`, `unknown_format`, `bad_metadata` or
            `bad_preprocessing`; the message names the file.
    """
    metadata = ArtifactMetadata.from_dict(_read_json(directory / METADATA_NAME))
    for name in metadata.files:
        _check_sha256(directory, name, file_sha256(directory / name), metadata)
    return metadata


def verified_file(directory: Path, name: str) -> Path | None:
    """Return the path of one file of a version folder after verifying that one alone.

    None where the metadata lists no file of that name. Raises as `read_artifact`.
    """
    metadata = ArtifactMetadata.from_dict(_read_json(directory / METADATA_NAME))
    if name not in metadata.files:
        return None
    _check_sha256(directory, name, file_sha256(directory / name), metadata)
    return directory / name


def read_listed(directory: Path, name: str, *, max_bytes: int) -> bytes | None:
    """Return one file of a version folder after verifying that one alone.

    None where the metadata lists no file of that name.

    Raises:
        ArtifactError: as `read_artifact`, or `bad_metadata` for a file above `max_bytes`.
    """
    metadata = ArtifactMetadata.from_dict(_read_json(directory / METADATA_NAME))
    if name not in metadata.files:
        return None
    path = directory / name
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise _missing(path) from error
    if len(content) > max_bytes:
        refuse(f"{name} is larger than {max_bytes} bytes")
    _check_sha256(directory, name, hashlib.sha256(content).hexdigest(), metadata)
    return content


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex.

    Raises:
        ArtifactError: `missing_file` when it is absent, unreadable or no regular file.
    """
    try:
        if path.is_file():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _missing(path) from error
    raise _missing(path)


def _check_sha256(directory: Path, name: str, received: str, metadata: ArtifactMetadata) -> None:
    if received != (expected := metadata.files[name]):
        raise ArtifactError(
            "altered_file",
            f"{name} in {directory.name} was altered: its SHA-256 begins with "
            f"{received[:12]}, the metadata says {expected[:12]}. Restore the folder "
            "from a backup or activate another version.",
        )


def _missing(path: Path) -> ArtifactError:
    return ArtifactError(
        "missing_file",
        f"{path.name} is missing from {path.parent.name} or cannot be read. Restore the "
        "folder from a backup or activate another version.",
    )


def _read_json(path: Path) -> object:
    if not path.is_file():
        raise _missing(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_METADATA_BYTES + 1)
    except OSError as error:
        raise _missing(path) from error
    if len(content) > MAX_METADATA_BYTES:
        refuse(f"it is larger than {MAX_METADATA_BYTES} bytes")
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        if isinstance(error, ArtifactError):
            raise
        refuse(f"it is not JSON ({error})")


def _refuse_constant(name: str) -> NoReturn:
    refuse(f"{name} is not a JSON number")


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
