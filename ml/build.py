"""One job: labelled pictures in, a finished model version out.

Run as a child process, `python -m ml.build SPEC.json`, so that TensorFlow's memory goes
away with it. It ends when its standard input closes, that is, when its parent dies.
Exit status: 0 done, 2 a person can mend it (said on standard error), 130 stopped.
"""

import importlib.metadata
import json
import os
import signal
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, Self

import keras

from ml.artifact import FORMAT_VERSION, ArtifactMetadata, write_artifact
from ml.card import model_card
from ml.dataset import (
    Dataset,
    LabelledFile,
    Split,
    load_dataset,
    read_known_splits,
    write_examples_csv,
)
from ml.errors import LacewingError, TrainingError
from ml.evaluation import EvaluationReport, format_results
from ml.export import export_litert, round_to_float16
from ml.pipeline import PictureCache, cache_pictures
from ml.plan import Plan, TrainingOptions, make_plan
from ml.plots import confusion_matrix, training_curves
from ml.scoring import Scores, calibrated, score
from ml.training import TrainedNetwork, TrainingData, train

LIBRARIES = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "pillow", "ai-edge-litert")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSpec:
    """All that a build must know; paths are absolute."""

    name: str
    output: Path
    """Folder of the version to write; must not exist."""
    workspace: Path
    """Folder of this training: plan, checkpoint, features."""
    cache_dir: Path
    sources: list[Path]
    reviewed: list[LabelledFile] = field(default_factory=list)
    known_splits: list[Path] = field(default_factory=list)
    """`examples.csv.gz` of earlier versions, oldest first."""
    incumbent: Path | None = None
    options: TrainingOptions = field(default_factory=TrainingOptions)
    resume: bool = False
    serving_only: bool = False
    """Leave out `model.keras`, which only further training would need."""
    notes: list[str] = field(default_factory=list)
    """Sentences for the model card."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the JSON that the parent wrote: these fields, with paths as strings."""
        fields: dict[str, Any] = json.loads(path.read_text())
        for name in ("output", "workspace", "cache_dir"):
            fields[name] = Path(fields[name])
        for name in ("sources", "known_splits"):
            fields[name] = [Path(item) for item in fields[name]]
        fields["incumbent"] = Path(fields["incumbent"]) if fields["incumbent"] else None
        fields["options"] = TrainingOptions(**fields["options"])
        fields["reviewed"] = [
            LabelledFile(path=Path(item["path"]), label=item["label"], name=item["name"])
            for item in fields["reviewed"]
        ]
        return cls(**fields)


def build(spec: BuildSpec) -> None:
    """Train, calibrate, export, score and write one version; print what happens.

    Raises LacewingError for whatever a person can mend; then `spec.output` does not exist,
    and what was trained waits in the workspace for `resume`.
    """
    dataset = load_dataset(
        spec.sources,
        unpack_dir=spec.cache_dir / "unpacked",
        reviewed=spec.reviewed,
        known_splits=_known_splits(spec),
    )
    print("\n".join(dataset.health.lines()))
    plan = _plan(spec, dataset)
    print("\n".join(plan.lines()), flush=True)
    cache = cache_pictures(dataset, plan.preprocessing, cache_dir=spec.cache_dir)
    trained = _train(dataset, cache, plan, spec.workspace)
    round_to_float16(trained.network)
    print("Exporting.", flush=True)
    network = export_litert(trained.network)
    metadata = ArtifactMetadata(
        format_version=FORMAT_VERSION,
        name=spec.name,
        labels=dataset.labels,
        preprocessing=plan.preprocessing,
        architecture=plan.config.architecture,
        parameters=trained.network.count_params(),
        config=plan.config.to_dict() | {"weights": Path(plan.config.weights).name},
        temperature=1.0,
        dataset={
            "fingerprint": dataset.fingerprint,
            "counts": dataset.counts(),
            "sources": [source.name for source in spec.sources],
            "reviewed": len(spec.reviewed),
        },
        libraries=_library_versions(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        files={},
    )
    metadata = calibrated(metadata, network, dataset, cache, scratch=spec.workspace)
    scores = score(
        metadata, network, dataset, cache, incumbent=spec.incumbent, scratch=spec.workspace
    )
    print(format_results(scores.candidate, scores.incumbent), flush=True)
    files = _files(spec, dataset, trained, metadata, network, scores)
    write_artifact(spec.output, metadata, files)


def _known_splits(spec: BuildSpec) -> dict[str, Split]:
    known: dict[str, Split] = {}
    for path in spec.known_splits:
        known |= read_known_splits(path)
    return known


def _plan(spec: BuildSpec, dataset: Dataset) -> Plan:
    """Return the plan to follow: a new one, or that of the training to resume."""
    path = spec.workspace / "plan.json"
    if not spec.resume:
        for leftover in (*spec.workspace.glob("*.np[yz]"), *spec.workspace.glob("*.part")):
            leftover.unlink()
        plan = make_plan(dataset, spec.options)
        plan.save(path)
        return plan
    plan = Plan.load(path)
    if plan.fingerprint != dataset.fingerprint:
        raise TrainingError(
            "data_changed",
            "The pictures or their labels have changed since the training was interrupted, "
            "so it cannot go on. Run again without --resume.",
        )
    return plan


def _train(dataset: Dataset, cache: PictureCache, plan: Plan, workspace: Path) -> TrainedNetwork:
    pictures, truth = cache.of(dataset.of_split("train"))
    validation, validation_truth = cache.of(dataset.of_split("validation"))
    data = TrainingData(
        labels=dataset.labels,
        train=pictures,
        train_truth=truth,
        validation=validation,
        validation_truth=validation_truth,
    )
    return train(data, plan.config, workspace=workspace)


def _files(
    spec: BuildSpec,
    dataset: Dataset,
    trained: TrainedNetwork,
    metadata: ArtifactMetadata,
    network: bytes,
    scores: Scores,
) -> dict[str, bytes]:
    """Return every file of the version but the metadata."""
    report = scores.candidate
    health = dataset.health.lines()
    document = {
        "metrics": _metrics(dataset, report),
        "test": report.to_dict(),
        "incumbent": scores.incumbent.to_dict() if scores.incumbent else None,
        "comparison": scores.comparison.to_dict() if scores.comparison else None,
        "history": trained.history,
        "health": health,
    }
    card = model_card(
        metadata, report, health_lines=health, history=trained.history, notes=spec.notes
    )
    files = {
        "model.tflite": network,
        "report.json": json.dumps(document, indent=1).encode(),
        "card.md": card.encode(),
        "training_curves.png": training_curves(trained.history),
        "confusion_matrix.png": confusion_matrix(report),
        "examples.csv.gz": write_examples_csv(dataset),
    }
    if not spec.serving_only:
        files["model.keras"] = _keras_file(trained.network)
    return files


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


def _library_versions() -> dict[str, str]:
    installed = {
        distribution.metadata["Name"].lower(): distribution.version
        for distribution in importlib.metadata.distributions()
    }
    return {name: installed[name] for name in LIBRARIES if name in installed}


def _end_with_parent() -> None:
    """Exit at once when standard input closes: a killed parent must leave no orphan."""

    def wait() -> None:
        while os.read(0, 1024):  # not sys.stdin: its lock would be held at exit
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True, name="parent-watch").start()


def _stop(signal_number: int, frame: object) -> NoReturn:
    """Unwind once, so that temporary folders go; a second signal must not disturb that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Run the build that the JSON file names; return the exit status."""
    _end_with_parent()
    signal.signal(signal.SIGTERM, _stop)
    try:
        build(BuildSpec.load(Path(arguments[0])))
    except LacewingError as error:
        print(error.message, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
