"""`inspect_data`: the findings as text and as a page, without a training; sets by name."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from ml.named_sets import cached_path
from recognition import data_sets, training_requests
from recognition.models import ModelVersion, Recognizer
from tests.ml.training_pictures import colored_pictures, write_folder

QUICK = ("--epochs", "1", "--architecture", "cnn", "--image-size", "16")


@pytest.fixture
def colors(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "colors", 12)


@pytest.fixture
def fetched(settings: Any) -> Path:
    """Put a made-up `digits` where a fetched one would lie."""
    (train, train_truth), (test, test_truth) = (
        colored_pictures(n, 16, channels=1, seed=n) for n in (30, 10)
    )
    path = cached_path("digits", Path(settings.CACHE_DIR))
    path.parent.mkdir(parents=True)
    np.savez(path, x_train=train, y_train=train_truth, x_test=test, y_test=test_truth)
    return path


def inspect(*arguments: object) -> str:
    output = io.StringIO()
    call_command("inspect_data", *map(str, arguments), stdout=output)
    return output.getvalue()


def test_findings_are_printed_and_nothing_is_stored(colors: Path) -> None:
    (colors / "red" / "notes.txt").write_text("no picture")
    output = inspect("--data", colors)
    assert output.startswith("36 pictures: blue: 12; green: 12; red: 12\n")
    assert "1 file skipped: colors/red/notes.txt" in output


def test_a_page_is_written_where_asked(colors: Path, tmp_path: Path) -> None:
    page = tmp_path / "health.html"
    output = inspect("--data", colors, "--html", page)
    assert f"Wrote {page}." in output
    assert "<h1>Health of colors</h1>" in page.read_text("utf-8")


def test_a_set_that_was_fetched_before_is_read_by_its_name(fetched: Path) -> None:
    assert "120 pictures: 0: 40; 1: 40; 2: 40" in inspect("--data", "digits")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--data"),
        (("--data", "nowhere"), "does not exist"),
        (("--data", "digits", "--html", "/no/such/folder/page.html"), "--html"),
    ],
)
def test_what_cannot_be_inspected_is_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        inspect(*arguments)


@pytest.mark.slow
def test_without_network_the_child_says_what_to_do(settings: Any) -> None:
    settings.DATASETS_URL = "http://127.0.0.1:9"
    with pytest.raises(CommandError, match="LACEWING_DATASETS_URL to a server"):
        inspect("--data", "digits")
    assert not cached_path("digits", Path(settings.CACHE_DIR)).exists()


def test_only_sets_that_are_not_there_are_fetched(
    fetched: Path, colors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(data_sets, "_fetch", lambda names, cache_dir: asked.append(names))
    inspect("--data", "digits", colors)
    assert asked == [[]]


def test_a_training_is_told_names_as_they_are_and_paths_absolute(
    colors: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.DATASETS_URL = "http://files.school.example"
    monkeypatch.chdir(tmp_path)
    request = training_requests.RetrainRequest(
        slug="x", sources=(Path("mnist"), Path("colors")), options={}
    )
    spec = training_requests.new_spec(Recognizer(slug="x", name="X"), request, tmp_path)
    assert spec["sources"] == ["mnist", str(colors)]
    assert spec["datasets_url"] == "http://files.school.example"


@pytest.mark.slow
@pytest.mark.django_db
def test_a_recognizer_is_trained_on_a_set_by_name_and_remembers_it(fetched: Path) -> None:
    call_command("retrain", "shades", "--data", "digits", *QUICK, stdout=io.StringIO())
    version = ModelVersion.objects.get(recognizer__slug="shades")
    assert version.recognizer.data_sources == ["digits"]
    assert version.labels == ["0", "1", "2"]
    metadata = json.loads((version.path / "metadata.json").read_text())
    assert metadata["dataset"]["counts"]["0"]["test"] == 10
