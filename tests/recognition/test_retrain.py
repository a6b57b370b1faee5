"""`retrain`: from a folder to a version that serves, in a real child process."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError

from ml.flips import read_flips
from ml.inference import Classifier
from recognition import services, tasks
from recognition.models import Recognizer
from tests.ml.training_pictures import LABELS, write_folder
from tests.recognition.predictions import make_prediction


@pytest.fixture
def colors(tmp_path: Path) -> Path:
    """Write a labelled folder of small pictures."""
    return write_folder(tmp_path / "colors", 12)


def retrain(*arguments: object) -> str:
    """Run the command quickly; return what it printed."""
    output = io.StringIO()
    call_command("retrain", *map(str, arguments), stdout=output)
    return output.getvalue()


QUICK = ("--epochs", 2, "--architecture", "cnn")


@pytest.mark.django_db
def test_a_new_recognizer_is_trained_and_serves(colors: Path) -> None:
    output = retrain("colors", "--data", colors, "--name", "My colours", *QUICK)
    recognizer = Recognizer.objects.get(slug="colors")
    version = recognizer.active_version()
    assert version is not None
    assert "colors v1 is active." in output
    assert recognizer.name == "My colours"
    assert recognizer.data_sources == [str(colors)]
    assert version.labels == list(LABELS)
    assert {"accuracy", "accuracy_low", "accuracy_high", "n_test", "ece"} <= version.metrics.keys()
    names = {path.name for path in version.path.iterdir()}
    assert names == {
        "metadata.json", "model.tflite", "model.keras", "report.json", "card.md",
        "training_curves.png", "confusion_matrix.png", "examples.csv.gz", "novelty.npz",
        "report.html", "health.html", "augmented.jpg",
    }  # fmt: skip
    assert Classifier.load(version.path).labels == LABELS
    workspace = version.path.parents[2] / "training" / "colors"
    assert not workspace.exists()


@pytest.mark.slow
@pytest.mark.django_db
def test_the_next_training_remembers_the_data_and_learns_from_reviews(
    colors: Path, tmp_path: Path
) -> None:
    retrain("colors", "--data", colors, *QUICK)
    recognizer = Recognizer.objects.get(slug="colors")
    first = recognizer.active_version()
    assert first is not None
    reviewer = User.objects.create_user("reviewer")
    prediction = make_prediction(first)
    suggested = make_prediction(first)
    services.review_predictions([prediction], "green", reviewer)
    services.suggest_label(suggested, "red")
    retrain("colors", "--activate", "never", "--image-size", 24)
    second = recognizer.versions.get(number=2)
    metadata = json.loads((second.path / "metadata.json").read_text())
    assert metadata["dataset"]["reviewed"] == 1
    assert metadata["config"]["epochs"] == 2
    assert metadata["architecture"] == "cnn"
    report = json.loads((second.path / "report.json").read_text())
    assert report["comparison"]["n"] == report["incumbent"]["n"] == report["test"]["n"]
    flips = read_flips(second.path)
    assert flips is not None
    assert len(flips.lost) == len(report["comparison"]["lost"])
    assert recognizer.active_version() == first
    assert second.activation_note.startswith("Not activated, as asked.")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("new",), "--data"),
        (("new", "--resume"), "no interrupted training"),
        (("admin", "--data", "x"), "address"),
        (("new", "--data", "/no/such/folder"), "trained"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_leaves_no_recognizer(
    arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        retrain(*arguments)
    assert not Recognizer.objects.filter(slug=arguments[0]).exists()


@pytest.mark.django_db
def test_a_shipped_version_is_retrained_as_what_it_is(
    colors: Path, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.PRETRAINED_DIR = settings.BASE_DIR / "ml" / "pretrained"
    services.register_shipped()
    asked: dict[str, Any] = {}

    def read_only(job: str, spec_path: Path, *_watch: object, **_more: object) -> None:
        asked.update(json.loads(spec_path.read_text()))
        raise tasks.TrainingStoppedError("training_stopped", "Read.")

    monkeypatch.setattr(tasks, "_run_child", read_only)
    with pytest.raises(CommandError, match="Read"):
        retrain("digits", "--data", colors, "--seed", 3)
    assert asked["options"] == {
        "architecture": "cnn", "image_size_px": 28, "fit": "stretch", "pictures": "drawings",
        "seed": 3,
    }  # fmt: skip
    assert [Path(path).name for path in asked["known_splits"]] == ["examples.csv.gz"]
    assert Path(asked["incumbent"]).name == "digits"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_killed_training_resumes_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    data_dir = tmp_path / "var"
    environment = os.environ | {
        "LACEWING_DATA_DIR": str(data_dir), "DJANGO_SETTINGS_MODULE": "classifier_site.settings"
    }  # fmt: skip
    data_dir.mkdir()
    manage = [sys.executable, "manage.py"]
    subprocess.run([*manage, "migrate", "-v0"], env=environment, check=True)
    folder = write_folder(tmp_path / "colors", 60)
    command = [*manage, "retrain", "colors", "--data", str(folder), "--architecture", "cnn"]
    checkpoint = data_dir / "training" / "colors" / "checkpoint.npz"
    training = subprocess.Popen([*command, "--epochs", "60"], env=environment)
    deadline_s = time.monotonic() + 240
    while not checkpoint.exists():
        assert time.monotonic() < deadline_s, "no checkpoint appeared"
        assert training.poll() is None, "training ended too early"
        time.sleep(0.05)
    training.send_signal(signal.SIGKILL)
    training.wait()
    assert not (data_dir / "versions").exists()
    listed = subprocess.run(
        [*manage, "recognizers", "--json"], env=environment, check=True, capture_output=True
    )
    assert json.loads(listed.stdout) == []
    subprocess.run([*manage, "retrain", "colors", "--resume"], env=environment, check=True)
    report = json.loads((data_dir / "versions" / "colors" / "v1" / "report.json").read_text())
    assert len(report["history"]) == 60
    assert not checkpoint.exists()


@pytest.mark.django_db
def test_what_was_asked_is_remembered_but_for_haste_and_for_another_network(
    colors: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Recognizer.objects.create(
        slug="colors",
        name="Colours",
        data_sources=[str(colors)],
        training_options={"architecture": "cnn", "depth": 6, "pictures": "drawings", "quick": True},
    )
    asked: list[dict[str, Any]] = []

    def read_only(job: str, spec_path: Path, *_watch: object, **_more: object) -> None:
        asked.append(json.loads(spec_path.read_text())["options"])
        raise tasks.TrainingStoppedError("training_stopped", "Read.")

    monkeypatch.setattr(tasks, "_run_child", read_only)
    for arguments in ((), ("--architecture", "linear"), ("--architecture", "cnn", "--width", 8)):
        with pytest.raises(CommandError, match="Read"):
            retrain("colors", *arguments)

    assert asked == [
        {"architecture": "cnn", "depth": 6, "pictures": "drawings"},
        {"architecture": "linear", "pictures": "drawings"},
        {"architecture": "cnn", "depth": 6, "width": 8, "pictures": "drawings"},
    ]
