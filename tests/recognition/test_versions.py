import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ml.errors import ArtifactError
from recognition import services
from recognition.errors import ApplicationError
from recognition.models import ModelVersion, Recognizer
from tests.recognition.conftest import METRICS, write_color_artifact

AddVersion = Callable[..., ModelVersion]


def active_number(recognizer: Recognizer) -> int | None:
    version = recognizer.active_version()
    return version.number if version else None


def test_registering_moves_the_folder_and_does_not_activate(
    recognizer: Recognizer, tmp_path: Path, settings: Any
) -> None:
    made = write_color_artifact(tmp_path / "made")

    version = services.register_version(recognizer, made, metrics=METRICS)

    assert version.number == 1
    assert version.path == settings.VERSIONS_DIR / "colors" / "v1"
    assert (version.path / "model.tflite").is_file()
    assert not made.exists()
    assert version.labels == ["blue", "green", "red"]
    assert version.metrics == METRICS
    assert recognizer.active_version() is None


def test_folder_that_is_in_place_stays_there(recognizer: Recognizer, settings: Any) -> None:
    made = write_color_artifact(settings.VERSIONS_DIR / "colors" / "v7")
    version = services.register_version(recognizer, made, metrics={})
    assert version.number == 7
    assert version.path == made


def test_number_of_an_orphaned_folder_is_not_reused(
    recognizer: Recognizer, tmp_path: Path, settings: Any
) -> None:
    (settings.VERSIONS_DIR / "colors" / "v3").mkdir(parents=True)
    made = write_color_artifact(tmp_path / "made")
    assert services.register_version(recognizer, made, metrics={}).number == 4


def test_altered_folder_is_not_registered(recognizer: Recognizer, tmp_path: Path) -> None:
    made = write_color_artifact(tmp_path / "made")
    (made / "model.tflite").write_bytes(b"other")
    with pytest.raises(ArtifactError) as refusal:
        services.register_version(recognizer, made, metrics={})
    assert refusal.value.code == "altered_file"
    assert made.exists()
    assert not recognizer.versions.exists()


def test_activation_moves_from_one_version_to_the_next(
    recognizer: Recognizer, add_version: AddVersion
) -> None:
    first, second = add_version(), add_version(activate=False)
    services.activate_version(second, note="better")
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.is_active, second.is_active) == (False, True)
    assert second.activation_note == "better"
    assert second.activated_at is not None


def spoil_nothing_left(directory: Path) -> None:
    shutil.rmtree(directory)


def spoil_network_missing(directory: Path) -> None:
    (directory / "model.tflite").unlink()


def spoil_network_half(directory: Path) -> None:
    path = directory / "model.tflite"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil_bit_flip(directory: Path) -> None:
    path = directory / "model.tflite"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def spoil_metadata_empty(directory: Path) -> None:
    (directory / "metadata.json").write_bytes(b"")


def spoil_metadata_other(directory: Path) -> None:
    path = directory / "metadata.json"
    metadata = json.loads(path.read_bytes())
    path.write_text(json.dumps(metadata | {"temperature": 2.0}))


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (spoil_nothing_left, "missing_file"),
        (spoil_network_missing, "missing_file"),
        (spoil_network_half, "altered_file"),
        (spoil_bit_flip, "altered_file"),
        (spoil_metadata_empty, "altered_file"),
        (spoil_metadata_other, "altered_file"),
    ],
)
def test_spoiled_folder_is_not_activated_and_the_active_version_stays(
    recognizer: Recognizer, add_version: AddVersion, spoil: Callable[[Path], None], code: str
) -> None:
    add_version()
    spoiled = add_version(activate=False)
    spoil(spoiled.path)

    with pytest.raises(ArtifactError) as refusal:
        services.activate_version(spoiled)

    assert refusal.value.code == code
    assert active_number(recognizer) == 1
    spoiled.refresh_from_db()
    assert not spoiled.is_active
    assert spoiled.activated_at is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"weights": np.full((3, 3), np.nan, np.float32)}, "nan_weights"),
        ({"labels": ("blue", "red")}, "labels_mismatch"),
        ({"weights": np.ones((2, 3), np.float32)}, "labels_mismatch"),
    ],
    ids=["NaN weights", "too few labels", "too few outputs"],
)
def test_whole_but_unfit_artifact_is_not_activated(
    recognizer: Recognizer, add_version: AddVersion, changes: dict[str, Any], code: str
) -> None:
    add_version()
    unfit = add_version(activate=False, **changes)
    with pytest.raises(ArtifactError) as refusal:
        services.activate_version(unfit)
    assert refusal.value.code == code
    assert active_number(recognizer) == 1


def test_rollback_takes_the_newest_earlier_version_that_has_served(
    recognizer: Recognizer, add_version: AddVersion
) -> None:
    add_version()
    add_version(activate=False)  # never served
    add_version()

    assert services.rollback(recognizer).number == 1

    assert active_number(recognizer) == 1
    active = recognizer.active_version()
    assert active is not None
    assert "version 3" in active.activation_note


def test_rollback_without_an_earlier_version_is_refused(
    recognizer: Recognizer, add_version: AddVersion
) -> None:
    with pytest.raises(ApplicationError, match="no version is active"):
        services.rollback(recognizer)
    add_version()
    with pytest.raises(ApplicationError, match="version 1 is active") as refusal:
        services.rollback(recognizer)
    assert refusal.value.code == "nothing_to_roll_back_to"
    assert active_number(recognizer) == 1


def test_rollback_to_a_spoiled_version_leaves_the_active_one(
    recognizer: Recognizer, add_version: AddVersion
) -> None:
    first = add_version()
    add_version()
    shutil.rmtree(first.path)
    with pytest.raises(ArtifactError):
        services.rollback(recognizer)
    assert active_number(recognizer) == 2


@pytest.mark.django_db
def test_shipped_versions_are_registered_once_and_activated(settings: Any) -> None:
    report = json.dumps({"test": {"n": 30}, "metrics": {"accuracy": 0.99}}).encode()
    write_color_artifact(settings.PRETRAINED_DIR / "colors", files={"report.json": report})

    (version,) = services.register_shipped()

    assert version.is_shipped
    assert version.is_active
    assert version.path == settings.PRETRAINED_DIR / "colors"
    assert version.metrics == {"n": 30, "accuracy": 0.99}
    assert str(version.recognizer) == "Colours"
    assert services.register_shipped() == []
    assert ModelVersion.objects.count() == 1


@pytest.mark.django_db
def test_upgrade_of_a_shipped_version_takes_over_from_the_old_one(settings: Any) -> None:
    folder = settings.PRETRAINED_DIR / "colors"
    write_color_artifact(folder)
    (old,) = services.register_shipped()
    shutil.rmtree(folder)
    write_color_artifact(folder, temperature=1.5)

    (new,) = services.register_shipped()

    old.refresh_from_db()
    assert (old.is_active, new.is_active, new.number) == (False, True, 2)


def test_shipped_version_never_replaces_one_that_was_trained_here(
    recognizer: Recognizer, add_version: AddVersion, settings: Any
) -> None:
    add_version()
    write_color_artifact(settings.PRETRAINED_DIR / "colors")
    (shipped,) = services.register_shipped()
    assert not shipped.is_active
    assert active_number(recognizer) == 1


@pytest.mark.django_db
def test_no_shipped_folder_means_no_shipped_versions() -> None:
    assert services.register_shipped() == []
