import os
import shutil
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from recognition import storage_check
from recognition.models import ModelVersion, Prediction
from recognition.storage_check import SETTLED_AFTER_S, Fault, check_storage
from tests.recognition.conftest import write_color_artifact
from tests.recognition.predictions import make_prediction


@pytest.fixture
def version(add_version: Callable[..., ModelVersion]) -> ModelVersion:
    return add_version()


@pytest.fixture
def prediction(version: ModelVersion) -> Prediction:
    return make_prediction(version)


def found() -> list[tuple[Fault, Path]]:
    return [(finding.fault, finding.path) for finding in check_storage().findings]


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("check_storage", *arguments, stdout=out)
    return out.getvalue()


def settle(path: Path) -> None:
    """Let the file look as old as one that nobody writes any more."""
    then = time.time() - SETTLED_AFTER_S - 1
    os.utime(path, (then, then))


@pytest.mark.django_db
def test_an_empty_site_is_in_order() -> None:
    assert run() == "0 pictures and 0 versions compared; nothing wrong.\n"


def test_rows_and_files_that_agree_are_in_order(prediction: Prediction) -> None:
    assert run() == "1 pictures and 1 versions compared; nothing wrong.\n"


def test_a_missing_picture_is_named(prediction: Prediction) -> None:
    prediction.picture_path.unlink()
    assert found() == [(Fault.MISSING, prediction.picture_path)]


def test_an_altered_picture_is_named(prediction: Prediction) -> None:
    with prediction.picture_path.open("ab") as file:
        file.write(b"x")
    assert found() == [(Fault.ALTERED, prediction.picture_path)]


def test_a_picture_without_a_row_is_named(prediction: Prediction) -> None:
    orphan = prediction.picture_path.with_name("other.jpg")
    orphan.write_bytes(b"x")
    assert found() == [(Fault.ORPHAN, orphan)]


def test_what_a_cut_off_write_left_is_named(prediction: Prediction, version: ModelVersion) -> None:
    picture = prediction.picture_path.with_name(".other.jpg.part")
    picture.write_bytes(b"x")
    folder = version.path.with_name(".v2.part")
    folder.mkdir()
    assert found() == [(Fault.TEMPORARY, picture), (Fault.TEMPORARY, folder)]


def test_a_missing_version_folder_is_named(version: ModelVersion) -> None:
    shutil.rmtree(version.path)
    assert found() == [(Fault.MISSING, version.path)]


def test_a_missing_file_of_a_version_is_named(version: ModelVersion) -> None:
    (version.path / "model.tflite").unlink()
    (finding,) = check_storage().findings
    assert (finding.fault, finding.path) == (Fault.MISSING, version.path)
    assert "model.tflite" in finding.detail


def test_an_altered_version_is_named(version: ModelVersion) -> None:
    (version.path / "model.tflite").write_bytes(b"other")
    assert found() == [(Fault.ALTERED, version.path)]


def test_a_version_replaced_by_another_intact_one_is_named(
    version: ModelVersion, tmp_path: Path
) -> None:
    shutil.rmtree(version.path)
    write_color_artifact(version.path, name="Impostor")
    (finding,) = check_storage().findings
    assert finding.fault == Fault.ALTERED
    assert "not the one that was registered" in finding.detail


def test_labels_that_differ_from_the_row_are_named(version: ModelVersion) -> None:
    ModelVersion.objects.update(labels=["red", "green", "blue"])
    (finding,) = check_storage().findings
    assert "other labels" in finding.detail


def test_a_version_folder_without_a_row_is_named(version: ModelVersion) -> None:
    orphan = write_color_artifact(version.path.with_name("v7"))
    assert found() == [(Fault.ORPHAN, orphan)]


def test_everything_wrong_is_told_and_the_exit_status_is_one(
    prediction: Prediction, version: ModelVersion, capsys: pytest.CaptureFixture[str]
) -> None:
    prediction.picture_path.unlink()
    (version.path / "model.tflite").write_bytes(b"other")

    with pytest.raises(
        CommandError, match=r"1 pictures and 1 versions compared; 2 wrong"
    ) as caught:
        call_command("check_storage")

    assert caught.value.returncode == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("missing  ")
    assert str(prediction.pk) in lines[0]
    assert lines[1].startswith("altered  ")


def test_a_picture_whose_row_is_saved_meanwhile_is_no_orphan(
    version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = make_prediction(version)
    Prediction.objects.all().delete()
    without_row = storage_check._without_row

    def saved_just_now(unclaimed: Any, what: str) -> Any:
        if not Prediction.objects.exists():
            late.save(force_insert=True)
        return without_row(unclaimed, what)

    monkeypatch.setattr(storage_check, "_without_row", saved_just_now)
    assert found() == []


def test_a_prediction_deleted_meanwhile_is_not_missing(
    prediction: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = storage_check._sha256

    def deleted_just_now(path: Path) -> str | None:
        prediction.picture_path.unlink(missing_ok=True)
        Prediction.objects.all().delete()
        return real(path)

    monkeypatch.setattr(storage_check, "_sha256", deleted_just_now)
    assert found() == []


def test_orphans_are_deleted_where_asked(prediction: Prediction, version: ModelVersion) -> None:
    picture = prediction.picture_path.with_name("other.jpg")
    picture.write_bytes(b"x")
    folder = write_color_artifact(version.path.with_name("v7"))
    settle(picture)
    settle(folder)

    out = run("--delete-orphans")

    assert f"deleted {picture}" in out
    assert f"deleted {folder}" in out
    assert "nothing wrong" in out
    assert not picture.exists()
    assert not folder.exists()
    assert prediction.picture_path.exists()
    assert version.path.exists()


def test_a_file_written_just_now_is_kept(prediction: Prediction) -> None:
    picture = prediction.picture_path.with_name(".other.jpg.part")
    picture.write_bytes(b"x")

    with pytest.raises(CommandError, match="1 wrong"):
        run("--delete-orphans")

    assert picture.exists()


def test_what_a_row_names_is_never_deleted(prediction: Prediction, version: ModelVersion) -> None:
    prediction.picture_path.write_bytes(b"altered")
    (version.path / "model.tflite").write_bytes(b"altered")
    settle(prediction.picture_path)
    settle(version.path)

    with pytest.raises(CommandError, match="2 wrong"):
        run("--delete-orphans")

    assert prediction.picture_path.exists()
    assert version.path.exists()
