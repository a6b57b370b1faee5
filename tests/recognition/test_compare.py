"""`compare`: from a folder to a leaderboard and a version that serves, in a real child process."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from ml.inference import Classifier
from ml.leaderboard import Leaderboard
from recognition import tasks
from recognition.models import ModelVersion, Recognizer
from tests.ml.training_pictures import LABELS, write_folder

TWO = ("--architectures", "linear", "cnn:depth=2")


@pytest.fixture
def colors(tmp_path: Path) -> Path:
    """Write a labelled folder of small pictures."""
    return write_folder(tmp_path / "colors", 12)


def compare(*arguments: object) -> str:
    """Run the command; return what it printed itself."""
    output = io.StringIO()
    call_command("compare", *map(str, arguments), stdout=output)
    return output.getvalue()


def leaderboard_of(version: ModelVersion) -> Leaderboard:
    return Leaderboard.from_dict(json.loads((version.path / "leaderboard.json").read_text()))


@pytest.mark.slow
@pytest.mark.django_db
def test_the_best_on_validation_becomes_a_version_beside_its_leaderboard(
    colors: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = compare(
        "colors", "--data", colors, "--architectures", "linear:epochs=1", "mlp:epochs=2,layers=8",
        "mobilenet_v2:weights=imagenet,image_size_px=16", "--name", "My colours",
    )  # fmt: skip

    version = Recognizer.objects.get(slug="colors").active_version()
    assert version is not None
    assert "colors v1 is active." in output
    board = leaderboard_of(version)
    chosen = board.chosen.contender
    assert {str(row.contender) for row in board.rows} == {
        "linear:epochs=1",
        "mlp:epochs=2,layers=8",
        "mobilenet_v2:image_size_px=16,weights=imagenet",
    }
    assert board.rows[-1].error
    assert board.n_networks == 2
    assert version.architecture == chosen.architecture
    assert version.metrics["accuracy"] == board.test_accuracy
    assert board.chosen.parameters > 0 < board.chosen.macs
    assert board.chosen.file_bytes == (version.path / "model.tflite").stat().st_size
    assert Classifier.load(version.path).labels == LABELS
    assert version.recognizer.training_options == {
        **chosen.options, "architecture": chosen.architecture, "seed": 0
    }  # fmt: skip
    assert not list((version.path.parents[2] / "training").iterdir())
    printed = capfd.readouterr().out
    assert "\n".join(board.lines()) in printed
    assert "Chosen among 2 trained networks" in (version.path / "card.md").read_text()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("new", *TWO), "--data"),
        (("new", "--data", "x"), "at least two"),
        (("new", "--data", "x", "--architectures", "cnn"), "at least two"),
        (("new", "--data", "x", "--architectures", "cnn:depth", "linear"), "NAME:KEY=VALUE"),
        (("new", "--resume"), 'no interrupted training of "new"'),
        (("new", "--resume", *TWO), 'no interrupted training of "new"'),
        (("admin", "--data", "x", *TWO), "address"),
    ],
)
def test_what_cannot_be_compared_is_refused_and_leaves_no_recognizer(
    arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        compare(*arguments)

    assert not Recognizer.objects.filter(slug=arguments[0]).exists()


@pytest.mark.parametrize("seeds", ["0", "-1", "many"])
def test_a_number_of_seeds_that_is_none_is_refused(seeds: str) -> None:
    with pytest.raises(CommandError, match="whole number from 1"):
        compare("new", "--data", "x", *TWO, f"--seeds={seeds}")


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("architectures", "message"),
    [
        (("linear", "resnet_9000"), "Unknown architecture 'resnet_9000'. Allowed: "),
        (("linear", "cnn:neighbours=3"), "does not take neighbours"),
        (("linear", "cnn:depth=99"), "Received depth 99"),
    ],
)
def test_what_no_architecture_is_or_takes_is_refused_before_any_training(
    colors: Path,
    architectures: tuple[str, ...],
    message: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(CommandError, match="Nothing was trained"):
        compare("new", "--data", colors, "--architectures", *architectures)

    printed = capfd.readouterr()
    assert message in printed.err
    assert "[1 of" not in printed.out
    assert not Recognizer.objects.filter(slug="new").exists()


@pytest.mark.slow
@pytest.mark.django_db
def test_what_was_interrupted_goes_on_without_training_anything_again(
    colors: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ("colors", "--architectures", "linear:epochs=1", "cnn:epochs=2", "--seeds", 2)
    run_child = tasks._run_child

    def stop_at_the_end(job: str, spec_path: Path, *_watch: object, **_more: object) -> None:
        run_child(job, spec_path)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "_run_child", stop_at_the_end)
        with pytest.raises(CommandError, match="run again with --resume"):
            compare(*arguments, "--data", colors)
    workspace = tmp_path / "training" / "colors.compare"
    half_done = workspace / "candidate-1-1" / "result.json"
    half_done.unlink()
    first = capfd.readouterr().out
    assert not Recognizer.objects.filter(slug="colors").exists()

    with pytest.raises(CommandError, match="comparison of linear:epochs=1 cnn:epochs=2"):
        compare("colors", "--resume", "--architectures", "linear,cnn")
    compare(*arguments, "--resume")

    second = capfd.readouterr().out
    assert second.count("Done before.") == 3
    version = Recognizer.objects.get(slug="colors").versions.get()
    board = leaderboard_of(version)
    assert board.n_networks == 4
    for row in board.rows:
        # Also of what was trained again, for a seed makes the same network.
        assert f"{row.contender} " in first
        assert row.n == board.chosen.n
    assert not workspace.exists()


@pytest.mark.slow
@pytest.mark.django_db
def test_pictures_that_changed_meanwhile_end_a_comparison(
    colors: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: tuple[Any, ...] = ("colors", "--data", colors, "--architectures", "linear:epochs=1")
    arguments = (*arguments, "perceptron:epochs=1")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "_take_in", stop)
        with pytest.raises(CommandError, match="--resume"):
            compare(*arguments)
    next(iter(colors.rglob("*.png"))).unlink()
    with pytest.raises(CommandError, match="Nothing was trained"):
        compare(*arguments, "--resume")

    assert "have changed" in capfd.readouterr().err
