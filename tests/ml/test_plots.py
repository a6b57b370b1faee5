"""Figures: drawn for every size and label, the same for the same figures, without pyplot."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ml.evaluation import EvaluationReport, evaluate
from ml.learning_curve import CurvePoint, LearningCurve
from ml.plots import (
    confusion_matrix,
    learning_curve_figure,
    reliability_diagram,
    training_curves,
)
from ml.reliability import reliability_bins

Row = dict[str, float | str]


def rows(phase: str, epochs: int) -> list[Row]:
    return [
        {
            "phase": phase,
            "epoch": epoch,
            "loss": 1 / epoch,
            "accuracy": 1 - 0.5 / epoch,
            "val_loss": 1.2 / epoch,
            "val_accuracy": 0.9 - 0.5 / epoch,
            "seconds": 2.0,
            "images_per_s": 300.0,
        }
        for epoch in range(1, epochs + 1)
    ]


def report_of(labels: list[str]) -> EvaluationReport:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(len(labels)), 4 * len(labels))
    return evaluate(probabilities, np.arange(4 * len(labels)) % len(labels), labels)


def size_of(png: bytes) -> tuple[int, int]:
    image = Image.open(io.BytesIO(png))
    assert image.format == "PNG"
    image.load()
    return image.size


@pytest.mark.parametrize("history", [rows("train", 1), rows("head", 3) + rows("refine", 60)])
def test_curves_are_drawn_for_any_number_of_epochs(history: list[Row]) -> None:
    assert size_of(training_curves(history)) == (1080, 456)


def test_curves_show_every_epoch() -> None:
    history = rows("train", 12)
    other = [*history[:5], {**history[5], "val_loss": 0.9}, *history[6:]]

    assert training_curves(history) != training_curves(other)


def test_no_epoch_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one epoch"):
        training_curves([])


@pytest.mark.parametrize("classes", [1, 2, 16, 81])
def test_confusion_matrix_is_drawn_for_any_number_of_classes(classes: int) -> None:
    width_px, height_px = size_of(confusion_matrix(report_of([f"c{i}" for i in range(classes)])))

    assert 400 < height_px < width_px < 2200


def test_labels_are_drawn_as_they_are() -> None:
    """Neither a formula between dollar signs, nor a missing letter, nor length may disturb."""
    labels = ["$x^{$", "costs $5 or $6", "虫", "<b>", "a" * 200, "\\frac{"]

    assert size_of(confusion_matrix(report_of(labels)))


def test_same_figures_give_the_same_file() -> None:
    report = report_of(["a", "b"])

    assert confusion_matrix(report) == confusion_matrix(report)


@pytest.mark.parametrize("confidence", [[1.0], [0.3, 0.5, 0.9, 0.95], [0.0]])
def test_reliability_is_drawn_for_any_bins(confidence: list[float]) -> None:
    bins = reliability_bins(confidence, [True] * len(confidence))

    assert size_of(reliability_diagram(bins)) == (648, 624)


def test_reliability_shows_what_was_right() -> None:
    right, wrong = (reliability_bins([0.8, 0.8], [True, hit]) for hit in (True, False))

    assert reliability_diagram(right) != reliability_diagram(wrong)


@pytest.mark.parametrize("gain_interval", [(0.0, 0.0), (-0.01, 0.05)])
def test_learning_curve_is_drawn(gain_interval: tuple[float, float]) -> None:
    curve = LearningCurve(
        pictures=400,
        points=tuple(
            CurvePoint(pictures=n, accuracy=1 - n**-0.5, interval=(0.5, 1.0))
            for n in (50, 100, 400)
        ),
        ceiling=1.0,
        scale=1.0,
        exponent=0.5,
        gain=max(gain_interval[0], 0.0),
        gain_interval=gain_interval,
        classes=(),
    )

    assert size_of(learning_curve_figure(curve)) == (792, 480)


def test_matplotlib_waits_for_the_first_figure_and_pyplot_is_never_used() -> None:
    code = (
        "import sys, ml.plots\n"
        "print('matplotlib' in sys.modules)\n"
        "row = dict(phase='a', epoch=1, loss=1, accuracy=1, val_loss=1, val_accuracy=1)\n"
        "ml.plots.training_curves([row])\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)

    assert done.stdout.split() == ["False", "False"]
