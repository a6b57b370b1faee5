import shutil
from pathlib import Path
from typing import Any

import pytest
from django.core import checks

from recognition.models import Recognizer


def ids(**options: Any) -> list[str]:
    return [
        message.id
        for message in checks.run_checks(**options)
        if message.id and message.id.startswith("recognition.")
    ]


@pytest.fixture(autouse=True)
def shipped_folder(data_directories: Path) -> Path:
    folder = data_directories / "pretrained"
    folder.mkdir()
    return folder


def test_good_installation_has_nothing_to_say(served: Recognizer) -> None:
    assert ids(include_deployment_checks=True, databases=["default"]) == []


def test_data_directory_may_be_yet_to_be_made(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "not" / "yet"
    assert ids() == []


def test_data_directory_that_cannot_be_written_is_an_error(settings: Any, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    settings.DATA_DIR = file
    assert ids() == ["recognition.E001"]


def test_missing_shipped_versions_are_a_warning(shipped_folder: Path) -> None:
    shipped_folder.rmdir()
    assert ids() == ["recognition.W001"]


def test_readable_secret_key_is_a_warning(data_directories: Path) -> None:
    key = data_directories / "secret_key"
    key.write_text("x" * 50)
    key.chmod(0o600)
    assert ids() == []
    key.chmod(0o644)
    assert ids() == ["recognition.W002"]


def test_debug_in_a_deployment_is_an_error(settings: Any) -> None:
    settings.DEBUG = True
    assert ids() == []
    assert ids(include_deployment_checks=True) == ["recognition.E002"]


def test_version_without_folder_is_a_warning_that_says_what_to_do(served: Recognizer) -> None:
    version = served.versions.get()
    shutil.rmtree(version.path)
    assert ids() == [], "the database is asked only where Django says so"
    (message,) = checks.run_checks(tags=[checks.Tags.database], databases=["default"])
    assert message.id == "recognition.W003"
    assert message.obj == version
    assert "activate another version" in (message.hint or "")
