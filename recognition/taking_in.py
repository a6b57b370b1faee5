"""From a finished folder to a version, exactly once, whatever ends the process meanwhile."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from django.conf import settings
from django.db import transaction

from ml.errors import TrainingError
from ml.leaderboard import LEADERBOARD_NAME, Leaderboard
from recognition import gating, services, snapshots
from recognition.models import ModelVersion, TrainingRun
from recognition.serving import metadata_sha256
from recognition.training_runs import HeldRun
from recognition.training_workspaces import Workspace

Activation = Literal["auto", "never", "force"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainOutcome:
    """The new version, and what became of it."""

    version: ModelVersion
    activated: bool
    reasons: list[str]


def register(held: HeldRun, workspace: Workspace) -> ModelVersion:
    """Take the finished folder in as the run's version; return the same one if called again.

    The folder moves within the transaction. Where the process dies between the two, the folder
    stands without a row; the digest that was noted before finds it there.

    Raises:
        ArtifactError: the finished version does not verify.
        LeaseLostError: the run is no longer ours.
        TrainingError: `version_missing`, there is no finished folder.
    """
    run = held.run
    if run.version is not None:
        return run.version
    noted: str | None = workspace.notes().get("finished")
    if noted is None:
        noted = metadata_sha256(workspace.output)
        workspace.note(finished=noted)
    directory = _finished_folder(workspace, run.recognizer.slug, noted)
    spec = workspace.spec()
    held.write(stage="registering")
    snapshots.assign_splits(run, directory)
    with transaction.atomic():
        held.write()  # makes sure, and keeps other writers out
        recognizer = run.recognizer
        recognizer.data_sources = spec["sources"]
        recognizer.training_options = spec["options"] | _chosen_options(directory)
        recognizer.save(update_fields=["data_sources", "training_options"])
        version = services.register_version(
            recognizer, directory, metrics=services.read_metrics(directory)
        )
        held.write(version=version, history=_history(version.path, run))
    return version


def conclude(held: HeldRun, incumbent: ModelVersion | None) -> RetrainOutcome:
    """Decide what becomes of the run's version, and end the run: both or neither.

    Raises:
        ArtifactError: the version does not work; the active one stays.
        LeaseLostError: the run is no longer ours.
    """
    version = held.run.version
    if version is None:
        raise ValueError(f"{held.run} has no version yet.")
    report = json.loads((version.path / "report.json").read_text())
    with transaction.atomic():
        held.end(TrainingRun.State.DONE)
        return _decide(version, report, held.run, incumbent)


def _decide(
    version: ModelVersion,
    report: Mapping[str, Any],
    run: TrainingRun,
    incumbent: ModelVersion | None,
) -> RetrainOutcome:
    """Let the gate decide what becomes of the version."""
    activation: Activation = run.activation  # type: ignore[assignment]
    decision = gating.decide(
        version,
        report["comparison"],
        incumbent=incumbent,
        activation=activation,
        person=run.person,
        reason=run.force_reason,
    )
    return RetrainOutcome(version=version, activated=decision.activated, reasons=decision.reasons)


def _finished_folder(workspace: Workspace, slug: str, digest: str) -> Path:
    """Return the folder that was noted as finished: still in the workspace, or moved already."""
    home = Path(settings.VERSIONS_DIR) / slug
    for directory in (workspace.output, *home.glob("v*")):
        if (directory / "metadata.json").is_file() and metadata_sha256(directory) == digest:
            return directory
    raise TrainingError(
        "version_missing",
        f"The finished version of this training is neither in {workspace.output} nor in {home}.",
    )


def _history(directory: Path, run: TrainingRun) -> list[Any]:
    """Return the epochs as the report has them; of a comparison, those of all candidates."""
    if any("candidate" in row for row in run.history):
        return list(run.history)
    report = json.loads((directory / "report.json").read_text())
    return list(report["history"])


def _chosen_options(output: Path) -> dict[str, Any]:
    """Return what a comparison chose, as options of a training; nothing for any other version."""
    try:
        board = Leaderboard.from_dict(json.loads((output / LEADERBOARD_NAME).read_bytes()))
    except FileNotFoundError:
        return {}
    contender = board.chosen.contender
    return contender.options | {
        "architecture": contender.architecture,
        "seed": board.chosen_seed,
    }
