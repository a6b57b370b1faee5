"""A candidate and its scores → the files of a finished model version."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras

from ml.artifact import NOVELTY_NAME, write_artifact
from ml.candidate import Candidate
from ml.card import model_card
from ml.dataset import Dataset, write_examples_csv
from ml.findings import gather
from ml.flips import FLIPS_NAME
from ml.health_page import render_health
from ml.pipeline import PictureCache
from ml.plots import confusion_matrix, training_curves
from ml.report import render_report, report_document
from ml.scoring import Scores
from ml.sheet import augmentation_sheet


def write_version(
    output: Path,
    candidate: Candidate,
    scores: Scores,
    dataset: Dataset,
    cache: PictureCache,
    *,
    notes: Sequence[str],
    serving_only: bool,
    extra_files: Mapping[str, bytes] | None = None,
) -> None:
    """Write the version's folder `output`, whole or not at all.

    `notes` are sentences for the model card; `serving_only` leaves out whatever only a
    further training would need or what shows pictures of the data set.
    """
    health = dataset.health.lines()
    history = candidate.trained.history
    metadata = candidate.metadata
    sheet = augmentation_sheet(cache.of(candidate.train.examples)[0], candidate.config)
    contents = gather(
        metadata,
        train=candidate.judged[0],
        validation=candidate.judged[1],
        test=scores.test,
        picture_of=cache.picture,
        history=history,
        health_lines=health,
        novelty=candidate.novelty,
        incumbent=scores.incumbent,
        comparison=scores.comparison,
        notes=notes,
        augmented=sheet,
    )
    card = model_card(
        metadata,
        scores.candidate,
        health_lines=health,
        history=history,
        notes=notes,
        findings=contents,
    )
    files = {
        "model.tflite": candidate.network,
        NOVELTY_NAME: candidate.novelty.to_bytes(),
        "report.json": json.dumps(report_document(contents), indent=1).encode(),
        "card.md": card.encode(),
        "training_curves.png": training_curves(history),
        "confusion_matrix.png": confusion_matrix(scores.candidate),
        "examples.csv.gz": write_examples_csv(dataset),
        **(extra_files or {}),
    }
    if not serving_only:
        files["model.keras"] = _keras_file(candidate.trained.network)
        files["report.html"] = render_report(contents)
        files["health.html"] = render_health(dataset, title=metadata.name)
        files["augmented.jpg"] = sheet
        if scores.flips is not None:
            files[FLIPS_NAME] = scores.flips.to_bytes()
    write_artifact(output, metadata, files)


def _keras_file(network: keras.Model) -> bytes:
    with tempfile.TemporaryDirectory(prefix="lacewing-keras-") as directory:
        path = Path(directory) / "model.keras"
        network.save(path)
        return path.read_bytes()
