"""The job that makes a better version: collect, train in a child process, gate, activate.

Commands call it here; `recognition.training_jobs` does the same for a worker. The job knows
nothing of queues. Each step looks first at what is there, so that a job that was killed at any
moment is done by doing it again.
"""

import shutil
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from django.db import IntegrityError, transaction

from ml.contenders import Contender
from ml.errors import LacewingError, TrainingError
from recognition import locks, snapshots, taking_in, training_runs
from recognition.models import ModelVersion, Prediction, Recognizer, TrainingRun
from recognition.taking_in import Activation, RetrainOutcome
from recognition.training_child import TrainingRefusedError, TrainingStoppedError
from recognition.training_child import run_child as _run_child
from recognition.training_progress import TrainingCancelledError, Watch
from recognition.training_requests import CompareRequest, RetrainRequest, new_spec
from recognition.training_runs import HeldRun, LeaseLostError
from recognition.training_workspaces import Workspace

__all__ = [
    "Activation",
    "CompareRequest",
    "RetrainOutcome",
    "RetrainRequest",
    "TrainingStoppedError",
    "compare",
    "make_version",
    "retrain",
]

State = TrainingRun.State


def retrain(request: RetrainRequest) -> RetrainOutcome:
    """Train a version of a recognizer, gate it against the active one, activate the better.

    The recognizer is created if it is new, once its first version is whole. Interrupted at
    any moment, nothing half-written is visible, and `resume` loses at most one epoch.

    Raises:
        TrainingError: the training cannot begin or failed; the child said why.
        TrainingStoppedError: it was stopped.
        ApplicationError: `training_under_way`, naming it.
        ValidationError: the slug cannot be a recognizer's address.
        ArtifactError: the finished version does not verify.
    """
    recognizer = Recognizer.objects.filter(slug=request.slug).first()
    if recognizer is None:
        recognizer = Recognizer(
            slug=request.slug, name=request.name or request.slug.replace("-", " ").capitalize()
        )
        recognizer.full_clean()
    with ExitStack() as stack:
        try:
            lock = stack.enter_context(locks.held(training_runs.lock_name(request.slug)))
        except locks.LockedError:
            raise training_runs.refusal(recognizer) from None
        held = _begin_here(recognizer, request)
        try:
            return make_version(recognizer, request, held, lock, resume=request.resume)
        except BaseException as error:
            if held is not None:
                _end_here(held, request, error)
            if isinstance(error, TrainingCancelledError):
                raise TrainingStoppedError(
                    "training_cancelled", "The training was cancelled in the admin."
                ) from None
            raise


def compare(request: CompareRequest) -> RetrainOutcome:
    """Train several candidates and take in the one that does best on validation.

    On the same terms as `retrain`, and with the same errors. `resume` trains no candidate again
    that was done. The next training is asked for what was chosen.
    """
    if request.resume and request.contenders:
        begun = Workspace.named(request.workspace_name).spec()["contenders"]
        if begun != [asdict(contender) for contender in request.contenders]:
            written = " ".join(str(Contender(**contender)) for contender in begun)
            raise TrainingError(
                "other_contenders",
                f"What was interrupted is a comparison of {written}. Name the same to go on, or "
                "run again without --resume.",
            )
    return retrain(request)


def make_version(
    recognizer: Recognizer,
    request: RetrainRequest,
    held: HeldRun | None,
    lock: int,
    *,
    resume: bool,
    to_log: bool = False,
) -> RetrainOutcome:
    """Train in a child, take the version in and let the gate decide, from where it stands.

    `held` is None for a recognizer that is not saved yet; it is, together with its first run,
    once the version is whole. `resume` goes on with what lies in the workspace. `lock` is the
    recognizer's, which the caller holds. What the child prints goes to the workspace's log if
    `to_log`, or where this process prints.

    Raises:
        Whatever `retrain` raises, and what `run_child` does.
    """
    workspace = Workspace.named(request.workspace_name)
    if held is None or held.run.version is None:
        spec = workspace.spec() if resume else _begin(recognizer, request, held, workspace)
        if "finished" not in workspace.notes():
            _train(recognizer, request.job, spec, held, workspace, lock, to_log)
    outcome = _take_in(recognizer, request, held, workspace)
    workspace.remove()
    return outcome


def _begin(
    recognizer: Recognizer, request: RetrainRequest, held: HeldRun | None, workspace: Workspace
) -> dict[str, Any]:
    """Collect what to learn from; keep the reviewed pictures as the snapshot of the run."""
    workspace.begin()
    reviewed: list[Prediction] = []
    if held is not None:
        held.write(stage="collecting", history=[], epochs=None, log_tail="")
        reviewed = snapshots.take(held.run)
    spec = new_spec(recognizer, request, workspace.path, reviewed)
    workspace.write_spec(spec)
    workspace.note(run=str(held.run.pk) if held else None)
    return spec


def _train(
    recognizer: Recognizer,
    job: str,
    spec: dict[str, Any],
    held: HeldRun | None,
    workspace: Workspace,
    lock: int,
    to_log: bool,
) -> None:
    """Let a child write the version's folder, beside the version that serves now."""
    incumbent = recognizer.active_version() if recognizer.pk else None
    spec |= {
        "incumbent": str(incumbent.path) if incumbent else None,
        "resume": workspace.can_resume,
    }
    shutil.rmtree(workspace.output, ignore_errors=True)
    workspace.write_spec(spec)
    workspace.note(
        run=str(held.run.pk) if held else None, incumbent=incumbent.pk if incumbent else None
    )
    watch = Watch(held, workspace.events_path)
    with ExitStack() as stack:
        log = stack.enter_context(workspace.log_path.open("ab")) if to_log else None
        _run_child(job, workspace.spec_path, watch, lock=lock, log=log)


def _take_in(
    recognizer: Recognizer, request: RetrainRequest, held: HeldRun | None, workspace: Workspace
) -> RetrainOutcome:
    """Register the finished version, and activate it if the gate or the person says so."""
    with transaction.atomic():
        if held is None:
            recognizer.save()
            run = TrainingRun.objects.create(**_row_of(recognizer, request))
            held = HeldRun.claim(run)
            if held is None:
                raise LeaseLostError(str(run.pk))
        taking_in.register(held, workspace)
    noted: int | None = workspace.notes().get("incumbent")
    incumbent = ModelVersion.objects.filter(pk=noted).first() if noted else None
    return taking_in.conclude(held, incumbent)


def _begin_here(recognizer: Recognizer, request: RetrainRequest) -> HeldRun | None:
    """Return the run that a command works on, held; None for a recognizer that is not saved.

    What is under way by its row has no living holder, for the lock is ours: a run of a killed
    command is gone on with or replaced, and the others are a worker's to go on with.
    """
    workspace = Workspace.named(request.workspace_name)
    before = None
    if request.resume:
        noted: str | None = workspace.notes().get("run")
        before = TrainingRun.objects.filter(pk=noted).first() if noted else None
        if before is not None and before.state == State.DONE:
            workspace.remove()
        workspace.spec()
    if recognizer.pk is None:
        return None
    first = training_runs.under_way(recognizer)
    if first is not None and first != before:
        if first.cause != TrainingRun.Cause.COMMAND:
            raise training_runs.refusal(recognizer)
        training_runs.close_dead(first, "Its command was killed, and another training began.")
    run = before or _new_row(recognizer, request)
    held = HeldRun.claim(run, State.QUEUED, State.RUNNING, State.FAILED, State.CANCELLED)
    if held is None:
        raise training_runs.refusal(recognizer)
    held.write(cancel_requested=False)
    return held


def _new_row(recognizer: Recognizer, request: RetrainRequest) -> TrainingRun:
    try:
        with transaction.atomic():
            return TrainingRun.objects.create(**_row_of(recognizer, request))
    except IntegrityError:
        raise training_runs.refusal(recognizer) from None


def _row_of(recognizer: Recognizer, request: RetrainRequest) -> dict[str, Any]:
    return {
        "recognizer": recognizer,
        "cause": TrainingRun.Cause.COMMAND,
        "request": request.document(),
        "activation": request.activate,
        "force_reason": "Forced on the command line." if request.activate == "force" else "",
    }


def _end_here(held: HeldRun, request: RetrainRequest, error: BaseException) -> None:
    """Write into the row why a command's training ended before it was done."""
    if isinstance(error, LeaseLostError):
        return
    if isinstance(error, TrainingCancelledError):
        held.end(State.CANCELLED)
        Workspace.named(request.workspace_name).remove()
    elif isinstance(error, KeyboardInterrupt):
        held.end(State.CANCELLED, "Stopped on the command line; --resume goes on.")
    elif isinstance(error, TrainingRefusedError):
        held.end(State.FAILED, error.reason.message)
    elif isinstance(error, LacewingError):
        held.end(State.FAILED, error.message)
    else:
        held.end(State.FAILED, f"{type(error).__name__}: {error}")
