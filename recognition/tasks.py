"""The job that makes a better version: collect, train in a child process, gate, activate.

The job knows nothing of queues: a command calls it today. Training runs in a child
process, so that TensorFlow's memory goes away with it and the caller stays light.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from django.conf import settings

from ml.artifact import read_artifact
from ml.contenders import Contender
from ml.errors import TrainingError
from ml.leaderboard import LEADERBOARD_NAME, Leaderboard
from ml.named_sets import located
from recognition import services
from recognition.models import ModelVersion, Prediction, Recognizer

Activation = Literal["auto", "never", "force"]

EXIT_PERSON_CAN_MEND = 2
STOP_WAIT_S = 20.0
CHILD_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",  # TensorFlow's notes on the processor are not for growers
    "CUDA_VISIBLE_DEVICES": "-1",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainRequest:
    """What a person asks of a training; None means "as last time", or the best recipe."""

    slug: str
    name: str = ""
    sources: Sequence[Path] = ()
    options: Mapping[str, Any]
    """`architecture`, `image_size_px`, `epochs`, `weights`, `pictures`, `seed`."""
    activate: Activation = "auto"
    resume: bool = False
    serving_only: bool = False
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareRequest(RetrainRequest):
    """What a person asks of a comparison; the options hold for all that is compared."""

    contenders: Sequence[Contender]
    """Empty only to resume."""
    seeds: int = 1
    """How many trainings of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainOutcome:
    """The new version, and what became of it."""

    version: ModelVersion
    activated: bool
    reasons: list[str]


class TrainingStoppedError(TrainingError):
    """The training was stopped before its end; nothing was registered."""


def retrain(request: RetrainRequest) -> RetrainOutcome:
    """Train a version of a recognizer, gate it against the active one, activate the better.

    The recognizer is created if it is new, once its first version is whole. Interrupted at
    any moment, nothing half-written is visible, and `resume` loses at most one epoch.

    Raises:
        TrainingError: the training cannot begin or failed; the child said why.
        TrainingStoppedError: it was stopped.
        ValidationError: the slug cannot be a recognizer's address.
        ArtifactError: the finished version does not verify.
    """
    return _make_version(request, "ml.build", request.slug)


def compare(request: CompareRequest) -> RetrainOutcome:
    """Train several candidates and take in the one that does best on validation.

    On the same terms as `retrain`, and with the same errors. `resume` trains no candidate again
    that was done. The next training is asked for what was chosen.
    """
    # No slug has a full stop in it: this is nobody else's workspace.
    workspace_name = f"{request.slug}.compare"
    if request.resume and request.contenders:
        begun = _resumed(Path(settings.TRAINING_DIR) / workspace_name)["contenders"]
        if begun != [asdict(contender) for contender in request.contenders]:
            written = " ".join(str(Contender(**contender)) for contender in begun)
            raise TrainingError(
                "other_contenders",
                f"What was interrupted is a comparison of {written}. Name the same to go on, or "
                "run again without --resume.",
            )
    return _make_version(request, "ml.compare", workspace_name)


def _make_version(request: RetrainRequest, module: str, workspace_name: str) -> RetrainOutcome:
    """Run the module in a child that makes a version; take it in."""
    recognizer = Recognizer.objects.filter(slug=request.slug).first()
    if recognizer is None:
        recognizer = Recognizer(
            slug=request.slug, name=request.name or request.slug.replace("-", " ").capitalize()
        )
        recognizer.full_clean()
    workspace = Path(settings.TRAINING_DIR) / workspace_name
    workspace.mkdir(parents=True, exist_ok=True)
    spec = _resumed(workspace) if request.resume else _new_spec(recognizer, request, workspace)
    incumbent = recognizer.active_version() if recognizer.pk else None
    spec |= {
        "incumbent": str(incumbent.path) if incumbent else None,
        "resume": request.resume,
    }
    output = Path(spec["output"])
    shutil.rmtree(output, ignore_errors=True)
    spec_path = workspace / "spec.json"
    spec_path.write_text(json.dumps(spec, indent=2))
    _run_child(module, spec_path)
    outcome = _take_in(recognizer, spec, output, incumbent, request.activate)
    shutil.rmtree(workspace)
    return outcome


def _new_spec(recognizer: Recognizer, request: RetrainRequest, workspace: Path) -> dict[str, Any]:
    """Return the specification that `ml.build.BuildSpec` reads."""
    sources = [str(located(source)) for source in request.sources] or recognizer.data_sources
    reviewed = Prediction.objects.filter(recognizer=recognizer).reviewed() if recognizer.pk else []
    if not sources and not reviewed:
        raise TrainingError(
            "no_data",
            f'There are no pictures to train "{recognizer.slug}" on: pass --data with a folder '
            "that holds a folder of pictures for every class.",
        )
    versions = recognizer.versions.order_by("number") if recognizer.pk else []
    options = _remembered(recognizer)
    asked = {key: value for key, value in request.options.items() if value is not None}
    more: dict[str, Any] = {}
    if isinstance(request, CompareRequest):
        more = {"contenders": list(map(asdict, request.contenders)), "seeds": request.seeds}
    if more or asked.get("architecture", options.get("architecture")) != options.get(
        "architecture"
    ):
        # What else was asked last time was asked of another network.
        options = {key: value for key, value in options.items() if key == "pictures"}
    return {
        "name": request.name or recognizer.name,
        "output": str(workspace / "version"),
        "workspace": str(workspace),
        "cache_dir": str(settings.CACHE_DIR),
        "sources": sources,
        "datasets_url": settings.DATASETS_URL,
        "reviewed": [
            {
                "path": str(prediction.picture_path),
                "label": prediction.reviewed_label,
                "name": f"prediction {prediction.pk}",
            }
            for prediction in reviewed
        ],
        "known_splits": [
            str(path)
            for version in versions
            if (path := version.path / "examples.csv.gz").is_file()
        ],
        "options": options | asked,
        "serving_only": request.serving_only,
        "notes": list(request.notes),
        **more,
    }


def _remembered(recognizer: Recognizer) -> dict[str, Any]:
    """Return what the last training was asked for, less a weights file that has gone.

    A version that ships was trained elsewhere: its own metadata says what it is.
    """
    options = dict(recognizer.training_options)
    options.pop("quick", None)  # a first answer is not how the next training should go
    active = recognizer.active_version() if recognizer.pk else None
    if not options and active is not None:
        metadata = read_artifact(active.path)
        options = {
            "architecture": metadata.architecture,
            "image_size_px": metadata.preprocessing.width_px,
            "fit": metadata.preprocessing.fit,
            "pictures": "drawings" if metadata.preprocessing.ink else "photos",
        }
    weights = options.get("weights")
    if weights not in (None, "imagenet", "none") and not Path(weights).is_file():
        del options["weights"]
    return options


def _resumed(workspace: Path) -> dict[str, Any]:
    try:
        spec: dict[str, Any] = json.loads((workspace / "spec.json").read_text())
    except FileNotFoundError:
        raise TrainingError(
            "nothing_to_resume",
            f'There is no interrupted training of "{workspace.stem}" to resume. Run again '
            "without --resume.",
        ) from None
    return spec


def _run_child(module: str, spec_path: Path) -> None:
    """Run a module of `ml` in a child that ends when this process does.

    The child is its own session: Ctrl-C reaches this process alone, which passes it on once.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", module, str(spec_path)],
        cwd=settings.BASE_DIR,
        env=os.environ | CHILD_ENVIRONMENT,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        status = child.wait()
    except BaseException:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        raise
    finally:
        if child.stdin is not None:
            child.stdin.close()
    if status == 0:
        return
    if status == EXIT_PERSON_CAN_MEND:
        raise TrainingError("training_refused", "Nothing was trained or activated.")
    raise TrainingStoppedError(
        "training_stopped",
        f"The training ended before it was done (exit status {status}). Nothing was activated; "
        "run again with --resume to go on.",
    )


def _take_in(
    recognizer: Recognizer,
    spec: Mapping[str, Any],
    output: Path,
    incumbent: ModelVersion | None,
    activate: Activation,
) -> RetrainOutcome:
    """Register the finished version, and activate it if the gate or the person says so."""
    report = json.loads((output / "report.json").read_text())
    recognizer.data_sources = spec["sources"]
    recognizer.training_options = spec["options"] | _chosen_options(output)
    recognizer.save()
    version = services.register_version(recognizer, output, metrics=services.read_metrics(output))
    activated, reasons = gate(report["comparison"], incumbent, activate)
    note = " ".join(reasons)
    if activated:
        services.activate_version(version, note)
    else:
        version.activation_note = note
        version.save(update_fields=["activation_note"])
    return RetrainOutcome(version=version, activated=activated, reasons=reasons)


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


def gate(
    comparison: Mapping[str, Any] | None, incumbent: ModelVersion | None, activate: Activation
) -> tuple[bool, list[str]]:
    """Decide on the comparison with the incumbent; return the decision and its reasons."""
    if activate == "never":
        return False, ["Not activated, as asked."]
    if comparison is None or incumbent is None:
        return True, ["Activated: there was no active version to compare with."]
    reasons = [str(reason) for reason in comparison["reasons"]]
    worse = comparison["verdict"] == "worse"
    if activate == "force":
        forced = "although it is worse" if worse else "not needed"
        return True, [f"Activated by force ({forced}).", *reasons]
    if worse:
        return False, [f"Not activated: worse than v{incumbent.number}.", *reasons]
    return True, [f"Activated: {comparison['verdict']} beside v{incumbent.number}.", *reasons]
