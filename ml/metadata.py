"""What stands in a version's `metadata.json`, read strictly."""

import dataclasses
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn, Self

from ml.errors import ArtifactError
from ml.preprocessing import Preprocessing

FORMAT_VERSION = 1
METADATA_NAME = "metadata.json"
NETWORK_NAME = "model.tflite"
NOVELTY_NAME = "novelty.npz"
OPTIONAL_FIELDS = frozenset({"prediction_set_thresholds"})
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
            refuse(f"it must hold one JSON object, received {type(values).__name__}")
        version = values.get("format_version")
        if type(version) is not int:
            refuse(f"format_version must be a whole number, received {version!r}")
        if version != FORMAT_VERSION:
            raise ArtifactError(
                "unknown_format",
                f"The model version has format {version}; this Lacewing reads format "
                f"{FORMAT_VERSION}. Train it again, or use the Lacewing that made it.",
            )
        expected = {field.name for field in dataclasses.fields(cls)}
        if missing := expected - OPTIONAL_FIELDS - values.keys():
            refuse(f"it lacks {', '.join(sorted(missing))}")
        if unknown := values.keys() - expected:
            refuse(f"it has unknown fields: {', '.join(sorted(map(str, unknown)))}")
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


def refuse(fault: str) -> NoReturn:
    """Raise ArtifactError("bad_metadata") that names the fault and the way out."""
    raise ArtifactError(
        "bad_metadata",
        f"{METADATA_NAME} of the model version cannot be used: {fault}. Restore the folder "
        "from a backup or activate another version.",
    )


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values[key]
    if not isinstance(value, str) or not value.strip():
        refuse(f"{key} must be a non-empty text, received {value!r}")
    return value


def _count(values: Mapping[str, Any], key: str) -> int:
    value = values[key]
    if type(value) is not int or value < 0:
        refuse(f"{key} must be a whole number from 0, received {value!r}")
    return value


def _mapping(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = values[key]
    if not isinstance(value, dict):
        refuse(f"{key} must be an object, received {type(value).__name__}")
    return value


def _text_mapping(values: Mapping[str, Any], key: str) -> dict[str, str]:
    mapping = _mapping(values, key)
    if not all(isinstance(value, str) for value in mapping.values()):
        refuse(f"{key} must map names to texts")
    return mapping


def _temperature(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse(f"temperature must be a number, received {value!r}")
    if not math.isfinite(value) or value <= 0:
        refuse(f"temperature must be above 0, received {value!r}")
    return float(value)


def _thresholds(value: object) -> dict[str, float]:
    if not isinstance(value, dict):
        refuse(f"prediction_set_thresholds must be an object, received {type(value).__name__}")
    for level, threshold in value.items():
        is_number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
        if not _LEVEL.fullmatch(level) or not is_number or not 0 <= threshold <= 1:
            refuse(
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
        refuse(f"{key} must be an ISO 8601 time with a time zone, received {text!r}")
    return text


def _labels(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        refuse("labels must be a non-empty list")
    for label in value:
        if not isinstance(label, str) or not label.strip() or len(label) > MAX_LABEL_CHARACTERS:
            refuse(
                f"each label must be a text of 1 to {MAX_LABEL_CHARACTERS} characters, "
                f"received {str(label)[:60]!r}"
            )
        if any(unicodedata.category(character) in {"Cc", "Cs"} for character in label):
            refuse(f"a label may not hold control characters, received {label[:60]!r}")
    if len(set(value)) != len(value):
        twice = sorted({label for label in value if value.count(label) > 1})
        refuse(f"labels must differ, received twice: {', '.join(twice)}")
    return tuple(value)


def _files(values: Mapping[str, Any]) -> dict[str, str]:
    files = _text_mapping(values, "files")
    for name, digest in files.items():
        if not _PLAIN_NAME.fullmatch(name) or name == METADATA_NAME:
            refuse(f"files may hold plain file names only, received {name!r}")
        if not _SHA256.fullmatch(digest):
            refuse(f"the SHA-256 of {name} must be 64 hex digits, received {digest[:80]!r}")
    if NETWORK_NAME not in files:
        refuse(f"files must list {NETWORK_NAME}")
    return files
