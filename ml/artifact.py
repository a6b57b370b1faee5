"""The immutable folder of a model version: written whole or not at all, verified before use.

A version folder holds `metadata.json`, `model.tflite` and whatever else `metadata.files`
lists with its SHA-256, such as `novelty.npz`. Nothing that the metadata does not vouch for is
ever opened.
"""

import dataclasses
import hashlib
import json
import math
import os
import re
import shutil
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, Self

from ml.errors import ArtifactError
from ml.preprocessing import Preprocessing

FORMAT_VERSION = 1
METADATA_NAME = "metadata.json"
NETWORK_NAME = "model.tflite"
NOVELTY_NAME = "novelty.npz"
OPTIONAL_FIELDS = frozenset({"prediction_set_thresholds"})
MAX_METADATA_BYTES = 4 * 1024 * 1024  # a thousand labels take 0.1 MB
MAX_LABEL_CHARACTERS = 200

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LEVEL = re.compile(r"0\.[0-9]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactMetadata:
    """What a model version is: enough to serve it, to repeat it and to trust it.

    Attributes:
        format_version: layout of the folder; this code reads `FORMAT_VERSION` only.
        name: name of the recognizer, for people.
        labels: class names in the order of the network's logits.
        preprocessing: how a picture becomes the network's input.
        architecture: key of `ml.architectures.ARCHITECTURES`.
        parameters: number of trained numbers in the network.
        config: training configuration as it was used.
        temperature: the logits are divided by it before softmax (> 0).
        prediction_set_thresholds: level such as "0.90" to threshold of
            `ml.conformal.prediction_set`; empty for a version made before there were any.
        dataset: fingerprint, counts by label and split, sources.
        libraries: name to version of what trained and exported the network.
        created_at: ISO 8601 with time zone.
        files: file name to SHA-256 in hex, for every file but `metadata.json`.
    """

    format_version: int = FORMAT_VERSION
    name: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    architecture: str
    parameters: int
    config: dict[str, Any]
    temperature: float
    dataset: dict[str, Any]
    libraries: dict[str, str]
    created_at: str
    files: dict[str, str]
    prediction_set_thresholds: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Return what stands in `metadata.json`."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            **fields,
            "labels": list(self.labels),
            "preprocessing": self.preprocessing.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: object) -> Self:
        """Build from parsed JSON, strictly.

        Raises:
            ArtifactError: `unknown_format` when another version of Lacewing wrote it,
                `bad_metadata` (or `bad_preprocessing`) when a field is missing, unknown or
                of the wrong kind.
        """
        if not isinstance(values, dict):
            _refuse(f"it must hold one JSON object, received {type(values).__name__}")
        version = values.get("format_version")
        if type(version) is not int:
            _refuse(f"format_version must be a whole number, received {version!r}")
        if version != FORMAT_VERSION:
            raise ArtifactError(
                "unknown_format",
                f"The model version has format {version}; this Lacewing reads format "
                f"{FORMAT_VERSION}. Train it again, or use the Lacewing that made it.",
            )
        expected = {field.name for field in dataclasses.fields(cls)}
        if missing := expected - OPTIONAL_FIELDS - values.keys():
            _refuse(f"it lacks {', '.join(sorted(missing))}")
        if unknown := values.keys() - expected:
            _refuse(f"it has unknown fields: {', '.join(sorted(map(str, unknown)))}")
        return cls(
            format_version=version,
            name=_text(values, "name"),
            labels=_labels(values["labels"]),
            preprocessing=Preprocessing.from_dict(_mapping(values, "preprocessing")),
            architecture=_text(values, "architecture"),
            parameters=_count(values, "parameters"),
            config=_mapping(values, "config"),
            temperature=_temperature(values["temperature"]),
            dataset=_mapping(values, "dataset"),
            libraries=_text_mapping(values, "libraries"),
            created_at=_moment(values, "created_at"),
            files=_files(values),
            prediction_set_thresholds=_thresholds(values.get("prediction_set_thresholds", {})),
        )


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
        _refuse(f"it cannot be written as JSON ({error})")
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
    for name, expected in metadata.files.items():
        received = file_sha256(directory / name)
        if received != expected:
            raise ArtifactError(
                "altered_file",
                f"{name} in {directory.name} was altered: its SHA-256 begins with "
                f"{received[:12]}, the metadata says {expected[:12]}. Restore the folder "
                "from a backup or activate another version.",
            )
    return metadata


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
        _refuse(f"it is larger than {MAX_METADATA_BYTES} bytes")
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        if isinstance(error, ArtifactError):
            raise
        _refuse(f"it is not JSON ({error})")


def _refuse(fault: str) -> NoReturn:
    raise ArtifactError(
        "bad_metadata",
        f"{METADATA_NAME} of the model version cannot be used: {fault}. Restore the folder "
        "from a backup or activate another version.",
    )


def _refuse_constant(name: str) -> NoReturn:
    _refuse(f"{name} is not a JSON number")


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values[key]
    if not isinstance(value, str) or not value.strip():
        _refuse(f"{key} must be a non-empty text, received {value!r}")
    return value


def _count(values: Mapping[str, Any], key: str) -> int:
    value = values[key]
    if type(value) is not int or value < 0:
        _refuse(f"{key} must be a whole number from 0, received {value!r}")
    return value


def _mapping(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = values[key]
    if not isinstance(value, dict):
        _refuse(f"{key} must be an object, received {type(value).__name__}")
    return value


def _text_mapping(values: Mapping[str, Any], key: str) -> dict[str, str]:
    mapping = _mapping(values, key)
    if not all(isinstance(value, str) for value in mapping.values()):
        _refuse(f"{key} must map names to texts")
    return mapping


def _temperature(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(f"temperature must be a number, received {value!r}")
    if not math.isfinite(value) or value <= 0:
        _refuse(f"temperature must be above 0, received {value!r}")
    return float(value)


def _thresholds(value: object) -> dict[str, float]:
    if not isinstance(value, dict):
        _refuse(f"prediction_set_thresholds must be an object, received {type(value).__name__}")
    for level, threshold in value.items():
        is_number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if not _LEVEL.fullmatch(level) or not is_number or not 0 <= threshold <= 1:
            _refuse(
                'prediction_set_thresholds must map levels such as "0.90" to numbers from 0 to 1, '
                f"received {level[:60]!r}: {str(threshold)[:60]}"
            )
    return {level: float(threshold) for level, threshold in value.items()}


def _moment(values: Mapping[str, Any], key: str) -> str:
    text = _text(values, key)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        _refuse(f"{key} must be an ISO 8601 time with a time zone, received {text!r}")
    return text


def _labels(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        _refuse("labels must be a non-empty list")
    for label in value:
        if not isinstance(label, str) or not label.strip() or len(label) > MAX_LABEL_CHARACTERS:
            _refuse(
                f"each label must be a text of 1 to {MAX_LABEL_CHARACTERS} characters, "
                f"received {str(label)[:60]!r}"
            )
        if any(unicodedata.category(character) in {"Cc", "Cs"} for character in label):
            _refuse(f"a label may not hold control characters, received {label[:60]!r}")
    if len(set(value)) != len(value):
        twice = sorted({label for label in value if value.count(label) > 1})
        _refuse(f"labels must differ, received twice: {', '.join(twice)}")
    return tuple(value)


def _files(values: Mapping[str, Any]) -> dict[str, str]:
    files = _text_mapping(values, "files")
    for name, digest in files.items():
        if not _PLAIN_NAME.fullmatch(name) or name == METADATA_NAME:
            _refuse(f"files may hold plain file names only, received {name!r}")
        if not _SHA256.fullmatch(digest):
            _refuse(f"the SHA-256 of {name} must be 64 hex digits, received {digest[:80]!r}")
    if NETWORK_NAME not in files:
        _refuse(f"files must list {NETWORK_NAME}")
    return files


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
