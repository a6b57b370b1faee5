"""Version folders: written whole or not at all, verified before anything is opened."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.artifact import ArtifactMetadata, file_sha256, read_artifact, write_artifact
from ml.errors import ArtifactError
from ml.metadata import OPTIONAL_FIELDS
from tests.networks import COLOR_LABELS, color_metadata, write_color_artifact

FILES = {"model.tflite": b"TFL3 network", "report.json": b"{}"}


@pytest.fixture
def version(tmp_path: Path) -> Path:
    directory = tmp_path / "v1"
    write_artifact(directory, color_metadata(), FILES)
    return directory


def edit_metadata(version: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = version / "metadata.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def refusal(directory: Path) -> ArtifactError:
    with pytest.raises(ArtifactError) as caught:
        read_artifact(directory)
    return caught.value


def test_what_was_written_is_read_back(version: Path) -> None:
    metadata = read_artifact(version)

    assert metadata.labels == COLOR_LABELS
    assert metadata.config == {"epochs": 3, "seed": 7}
    assert metadata.files == {
        name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()
    }
    assert {path.name: path.read_bytes() for path in version.iterdir()}.items() >= FILES.items()


def test_writing_returns_the_metadata_that_reading_gives(tmp_path: Path) -> None:
    written = write_artifact(tmp_path / "a" / "v1", color_metadata(), FILES)

    assert written == read_artifact(tmp_path / "a" / "v1")


def test_existing_version_is_never_overwritten(version: Path) -> None:
    before = (version / "model.tflite").read_bytes()

    with pytest.raises(ArtifactError, match="exists already") as caught:
        write_artifact(version, color_metadata(), {"model.tflite": b"other"})

    assert caught.value.code == "already_exists"
    assert (version / "model.tflite").read_bytes() == before


def test_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []

    def sync(descriptor: int) -> None:
        synced.append(descriptor)
        if len(synced) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", sync)

    with pytest.raises(OSError, match="No space left"):
        write_artifact(tmp_path / "v1", color_metadata(), FILES)

    assert list(tmp_path.iterdir()) == []


def test_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", stop)

    with pytest.raises(KeyboardInterrupt):
        write_artifact(tmp_path / "v1", color_metadata(), FILES)

    assert list(tmp_path.iterdir()) == []


def test_leftover_of_a_killed_run_is_cleaned_away(tmp_path: Path) -> None:
    leftover = tmp_path / ".v1.0123abcd.part"
    leftover.mkdir()
    (leftover / "model.tflite").write_bytes(b"half")
    of_another = tmp_path / ".v10.0123abcd.part"
    of_another.mkdir()

    write_artifact(tmp_path / "v1", color_metadata(), FILES)

    assert {path.name for path in tmp_path.iterdir()} == {"v1", of_another.name}


def test_nothing_is_at_the_place_before_everything_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "v1"
    existed = []
    real_sync = os.fsync

    def sync(descriptor: int) -> None:
        existed.append(directory.exists())
        real_sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    write_artifact(directory, color_metadata(), FILES)

    # Two files, the metadata, the folder; only then the rename, and its parent.
    assert existed == [False, False, False, False, True]


@pytest.mark.parametrize(
    ("changes", "files", "fault"),
    [
        ({}, {"report.json": b"{}"}, r"must list model\.tflite"),
        ({}, {"model.tflite": b"", "../v2/model.tflite": b""}, "plain file names"),
        ({"labels": ()}, FILES, "non-empty list"),
        ({"config": {"rate": float("nan")}}, FILES, "cannot be written"),
        ({"config": {"path": Path("x")}}, FILES, "cannot be written"),
    ],
)
def test_writing_refuses_what_could_not_be_read(
    tmp_path: Path, changes: dict[str, Any], files: dict[str, bytes], fault: str
) -> None:
    with pytest.raises(ArtifactError, match=fault) as caught:
        write_artifact(tmp_path / "v1", color_metadata(**changes), files)

    assert caught.value.code == "bad_metadata"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model.tflite", "report.json", "metadata.json"])
def test_missing_file_is_refused_by_name(version: Path, name: str) -> None:
    (version / name).unlink()

    error = refusal(version)

    assert error.code == "missing_file"
    assert name in error.message


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent").code == "missing_file"


def test_folder_in_place_of_a_file_is_refused(version: Path) -> None:
    (version / "report.json").unlink()
    (version / "report.json").mkdir()

    assert refusal(version).code == "missing_file"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["empty", "half", "bit flip", "longer"])
def test_altered_file_is_refused_by_name(version: Path, name: str, damage: str) -> None:
    content = bytearray((version / name).read_bytes())
    if damage == "bit flip":
        content[-1] ^= 1
    (version / name).write_bytes(
        {"empty": b"", "half": content[:1], "bit flip": content, "longer": content + b"\0"}[damage]
    )

    error = refusal(version)

    assert error.code == "altered_file"
    assert name in error.message


@pytest.mark.parametrize("number", [0, 2, 99])
def test_unknown_format_is_refused_before_its_fields_are_read(version: Path, number: int) -> None:
    (version / "metadata.json").write_text(json.dumps({"format_version": number, "new": True}))

    error = refusal(version)

    assert error.code == "unknown_format"
    assert f"format {number}" in error.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format_version", "1"),
        ("format_version", True),
        ("name", ""),
        ("name", 7),
        ("labels", []),
        ("labels", "red"),
        ("labels", ["red", "red"]),
        ("labels", ["red", ""]),
        ("labels", ["red", 3]),
        ("labels", ["red", "x" * 201]),
        ("labels", ["red", "gre\u0000en"]),
        ("labels", ["red", "\ud800"]),
        ("preprocessing", []),
        ("architecture", None),
        ("parameters", -1),
        ("parameters", 1.5),
        ("config", []),
        ("temperature", 0),
        ("temperature", -2.5),
        ("temperature", "1"),
        ("temperature", True),
        ("dataset", None),
        ("libraries", {"keras": 3}),
        ("created_at", "yesterday"),
        ("created_at", "2026-11-22T10:00:00"),
        ("files", {}),
        ("files", {"model.tflite": "abc"}),
        ("files", {"model.tflite": "0" * 64, "/etc/passwd": "0" * 64}),
        ("files", {"model.tflite": "0" * 64, "..": "0" * 64}),
        ("files", {"model.tflite": "0" * 64, "a/b": "0" * 64}),
        ("files", {"model.tflite": "0" * 64, "metadata.json": "0" * 64}),
        ("prediction_set_thresholds", [0.5]),
        ("prediction_set_thresholds", {"90": 0.5}),
        ("prediction_set_thresholds", {"0.90": 1.5}),
        ("prediction_set_thresholds", {"0.90": -0.1}),
        ("prediction_set_thresholds", {"0.90": "0.5"}),
        ("prediction_set_thresholds", {"0.90": True}),
        ("surplus", 1),
    ],
)
def test_wrong_field_is_refused_by_name(version: Path, field: str, value: object) -> None:
    edit_metadata(version, lambda values: values.update({field: value}))

    error = refusal(version)

    assert error.code == "bad_metadata"
    assert field.removesuffix("s") in error.message or "SHA-256" in error.message


@pytest.mark.parametrize("field", sorted(set(color_metadata().to_dict()) - OPTIONAL_FIELDS))
def test_missing_field_is_refused_by_name(version: Path, field: str) -> None:
    edit_metadata(version, lambda values: values.pop(field))

    error = refusal(version)

    assert error.code == "bad_metadata"
    assert field in error.message


def test_version_from_before_prediction_sets_has_no_thresholds(version: Path) -> None:
    edit_metadata(version, lambda values: values.pop("prediction_set_thresholds"))

    assert read_artifact(version).prediction_set_thresholds == {}


def test_thresholds_are_read_back_to_the_last_digit(tmp_path: Path) -> None:
    thresholds = {"0.90": 1 / 3, "0.95": 1.0}

    write_artifact(tmp_path / "v2", color_metadata(prediction_set_thresholds=thresholds), FILES)

    assert read_artifact(tmp_path / "v2").prediction_set_thresholds == thresholds


def test_unknown_preprocessing_is_refused(version: Path) -> None:
    edit_metadata(version, lambda values: values["preprocessing"].update(fit="zoom"))

    assert refusal(version).code == "bad_preprocessing"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format_version": NaN}',
        b'{"format_version": 1' + b"0" * 5000 + b"}",
        b" " * (4 * 1024 * 1024 + 1),
    ],
    ids=["empty", "cut", "null", "list", "no text", "deep", "NaN", "long number", "large"],
)
def test_metadata_that_are_no_json_object_are_refused(version: Path, text: bytes) -> None:
    (version / "metadata.json").write_bytes(text)

    assert refusal(version).code == "bad_metadata"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(field=st.sampled_from(sorted(color_metadata().to_dict())), value=json_values)
def test_no_metadata_cause_any_other_error(field: str, value: object) -> None:
    values = color_metadata(files={"model.tflite": "0" * 64}).to_dict() | {field: value}

    with contextlib.suppress(ArtifactError):
        assert ArtifactMetadata.from_dict(values).to_dict() == values


def test_sha256_is_of_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * 1_000_000)  # the digest below is the one FIPS 180-2 gives

    assert file_sha256(path) == ("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")


def test_files_that_nobody_vouches_for_are_ignored(version: Path) -> None:
    (version / "notes.txt").write_text("mine")

    assert "notes.txt" not in read_artifact(version).files


def test_verification_opens_no_network(tmp_path: Path) -> None:
    write_color_artifact(tmp_path / "v1", network=b"no network at all")

    assert read_artifact(tmp_path / "v1").labels == COLOR_LABELS
