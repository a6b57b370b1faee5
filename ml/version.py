"""A candidate and its scores → the files of a finished model version."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras

from ml.artifact import write_artifact
from ml.candidate import Candidate
from ml.card import model_card
from ml.dataset import Dataset, write_examples_csv
from ml.evaluation import EvaluationReport
from ml.plots import confusion_matrix, training_curves
from ml.scoring import Scores


def write_version(
    output: Path,
    candidate: Candidate,
    scores: Scores,
    dataset: Dataset,
    *,
    notes: Sequence[str],
    serving_only: bool,
    extra_files: Mapping[str, bytes] | None = None,
) -> None:
    """Write the version's folder `output`, whole or not at all.

    `notes` are sentences for the model card; `serving_only` leaves out whatever only a
    further training would need or what shows pictures of the data set.
    """
    report = scores.candidate
    health = dataset.health.lines()
    history = candidate.trained.history
    document = {
        "metrics": _metrics(dataset, report),
        "test": report.to_dict(),
        "incumbent": scores.incumbent.to_dict() if scores.incumbent else None,
        "comparison": scores.comparison.to_dict() if scores.comparison else None,
        "history": history,
        "health": health,
    }
    card = model_card(candidate.metadata, report, health_lines=health, history=history, notes=notes)
    files = {
        "model.tflite": candidate.network,
        "report.json": json.dumps(document, indent=1).encode(),
        "card.md": card.encode(),
        "training_curves.png": training_curves(history),
        "confusion_matrix.png": confusion_matrix(report),
        "examples.csv.gz": write_examples_csv(dataset),
        **(extra_files or {}),
    }
    if not serving_only:
        files["model.keras"] = _keras_file(candidate.trained.network)
    write_artifact(output, candidate.metadata, files)


def _metrics(dataset: Dataset, report: EvaluationReport) -> dict[str, float | int]:
    """Return the figures that lists and pages show."""
    return {
        "accuracy": report.accuracy,
        "accuracy_low": report.accuracy_interval[0],
        "accuracy_high": report.accuracy_interval[1],
        "top3_accuracy": report.top3_accuracy,
        "macro_f1": report.macro_f1,
        "log_loss": report.log_loss,
        "ece": report.ece,
        "n_train": len(dataset.of_split("train")),
        "n_validation": len(dataset.of_split("validation")),
        "n_test": report.n,
    }


def _keras_file(network: keras.Model) -> bytes:
    with tempfile.TemporaryDirectory(prefix="lacewing-keras-") as directory:
        path = Path(directory) / "model.keras"
        network.save(path)
        return path.read_bytes()
