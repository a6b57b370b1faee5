"""Trainings as rows: asked for once, held by one, ended exactly once, whatever dies meanwhile."""

import gzip
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django_tasks_db.models import DBTaskResult

from ml.events import EVENTS_NAME
from recognition import locks, services, taking_in, tasks, training_jobs, training_runs
from recognition.errors import ApplicationError
from recognition.models import ModelVersion, Recognizer, TrainingRun
from recognition.training_child import TrainingRefusedError, TrainingStoppedError
from recognition.training_progress import TrainingCancelledError, Watch, WorkerStoppingError
from recognition.training_runs import HeldRun, LeaseLostError
from recognition.training_workspaces import Workspace
from tests.recognition.conftest import write_color_artifact
from tests.recognition.predictions import make_prediction

pytestmark = pytest.mark.django_db

State = TrainingRun.State
EPOCH = {"phase": "train", "epoch": 1, "loss": 0.5, "accuracy": 0.8, "val_loss": 0.4,
         "val_accuracy": 0.9, "seconds": 1.0, "images_per_s": 9.0}  # fmt: skip


class Child:
    """Stands in for the child that trains: writes a version of the colours, or fails as told."""

    def __init__(self, *failures: BaseException, verdict: str = "equal") -> None:
        self.failures = list(failures)
        self.verdict = verdict
        self.specs: list[dict[str, Any]] = []

    def __call__(self, job: str, spec_path: Path, watch: Watch, **_more: object) -> None:
        spec = json.loads(spec_path.read_text())
        self.specs.append(spec)
        with spec_path.with_name(EVENTS_NAME).open("a") as file:
            file.write(json.dumps({"kind": "stage", "name": "training", "epochs": 2}) + "\n")
            file.write(json.dumps({"kind": "epoch", "row": EPOCH}) + "\n")
        spec_path.with_name("plan.json").touch()
        watch.look()
        if self.failures:
            raise self.failures.pop(0)
        comparison = {
            "verdict": self.verdict, "reasons": ["ants: 1 newly wrong."], "per_class": [],
            "n": 30, "p": 0.5, "gained": [], "lost": [],
            "old_accuracy": 0.9, "new_accuracy": 0.9,
        }  # fmt: skip
        report = {
            "metrics": {"accuracy": 0.9}, "test": {}, "history": [EPOCH],
            "comparison": comparison if spec["incumbent"] else None,
        }  # fmt: skip
        lines = ["sha256,label,split,group,name"]
        lines += [f"x,{item['label']},train,x,{item['name']}" for item in spec["reviewed"]]
        write_color_artifact(
            Path(spec["output"]),
            files={
                "report.json": json.dumps(report).encode(),
                "examples.csv.gz": gzip.compress("\n".join(lines).encode()),
            },
        )


@pytest.fixture
def learn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Child]:
    """Return a function that lets such a child stand in."""

    def install(*failures: BaseException, **options: Any) -> Child:
        child = Child(*failures, **options)
        monkeypatch.setattr(tasks, "_run_child", child)
        monkeypatch.setattr(training_jobs, "RETRY_AFTER_S", 0)
        return child

    return install


@pytest.fixture
def run(recognizer: Recognizer) -> TrainingRun:
    """Return a run that waits."""
    recognizer.data_sources = ["/pictures"]
    recognizer.save()
    return training_runs.request_training(recognizer, options={"architecture": "cnn"})


def folders(recognizer: Recognizer) -> list[str]:
    home = Path(settings.VERSIONS_DIR) / recognizer.slug
    return sorted(path.name for path in home.iterdir()) if home.exists() else []


# Asking


def test_asking_leaves_a_row_that_waits_and_a_job_for_the_worker(run: TrainingRun) -> None:
    assert run.state == State.QUEUED
    job = DBTaskResult.objects.get()
    assert job.queue_name == "training"
    assert job.args_kwargs["args"] == [str(run.pk)]


def test_a_second_training_at_once_is_refused_naming_the_first(run: TrainingRun) -> None:
    with pytest.raises(ApplicationError, match=f"{run.created_at:%Y-%m-%d %H:%M} UTC") as refused:
        training_runs.request_training(run.recognizer)

    assert refused.value.code == "training_under_way"
    assert TrainingRun.objects.count() == DBTaskResult.objects.count() == 1


# Working


def test_a_run_becomes_a_version_that_serves(run: TrainingRun, learn: Any) -> None:
    child = learn()

    training_jobs.work_on(run.pk)

    run.refresh_from_db()
    version = run.recognizer.active_version()
    assert (run.state, run.version, run.error) == (State.DONE, version, "")
    assert run.started_at is not None
    assert run.ended_at is not None
    assert run.history == [EPOCH]
    assert run.lease is None
    assert child.specs[0]["options"] == {"architecture": "cnn"}
    assert Recognizer.objects.get().training_options == {"architecture": "cnn"}
    assert not Workspace.named("colors").path.exists()


def test_working_on_a_run_again_does_nothing(run: TrainingRun, learn: Any) -> None:
    child = learn()
    training_jobs.work_on(run.pk)

    training_jobs.work_on(run.pk)
    training_jobs.work_on(uuid.uuid4())

    assert len(child.specs) == 1
    assert ModelVersion.objects.count() == 1


def test_a_run_in_other_hands_is_left_alone(
    run: TrainingRun, learn: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = learn()
    monkeypatch.setattr(training_jobs, "ORPHAN_WAIT_S", 0)
    with locks.held(training_runs.lock_name("colors")):
        training_jobs.work_on(run.pk)

    run.refresh_from_db()
    assert run.state == State.QUEUED
    assert not child.specs


def test_the_snapshot_holds_what_reviewers_settled_and_what_it_was_used_for(
    recognizer: Recognizer, add_version: Any, learn: Any
) -> None:
    version = add_version()
    reviewer = User.objects.create_user("reviewer")
    reviewed, none_of_them, suggested = (make_prediction(version) for _ in range(3))
    services.review_predictions([reviewed], "green", reviewer)
    services.review_predictions([none_of_them], "", reviewer)
    services.suggest_label(suggested, "red")
    learn()

    run = training_runs.request_training(recognizer)
    training_jobs.work_on(run.pk)

    (item,) = run.snapshot.all()
    assert (item.prediction_id, item.label, item.split) == (reviewed.pk, "green", "train")
    assert item.picture_sha256 == reviewed.picture_sha256


@pytest.mark.parametrize(("verdict", "active"), [("better", 2), ("worse", 1)])
def test_the_gate_decides_on_the_version_of_a_run(
    recognizer: Recognizer, add_version: Any, learn: Any, verdict: str, active: int
) -> None:
    add_version()
    learn(verdict=verdict)
    recognizer.data_sources = ["/pictures"]
    recognizer.save()

    run = training_runs.request_training(recognizer)
    training_jobs.work_on(run.pk)

    run.refresh_from_db()
    assert run.state == State.DONE
    assert run.version is not None
    assert "ants: 1 newly wrong." in run.version.activation_note
    serving = recognizer.active_version()
    assert serving is not None
    assert serving.number == active


# Failing and being killed


def test_what_a_person_can_mend_is_told_and_not_tried_again(run: TrainingRun, learn: Any) -> None:
    reason = tasks.TrainingError("too_few", "ants: 1 picture; allowed: at least 3.")
    child = learn(TrainingRefusedError(reason))

    training_jobs.work_on(run.pk)

    run.refresh_from_db()
    assert (run.state, run.error) == (State.FAILED, reason.message)
    assert len(child.specs) == 1


def test_nothing_to_learn_from_fails_with_its_reason(recognizer: Recognizer, learn: Any) -> None:
    learn()
    run = training_runs.request_training(recognizer)

    training_jobs.work_on(run.pk)

    run.refresh_from_db()
    assert run.state == State.FAILED
    assert "no pictures" in run.error


def test_a_child_that_crashes_goes_on_and_is_given_up_when_it_gets_no_further(
    run: TrainingRun, learn: Any
) -> None:
    crash = TrainingStoppedError("training_stopped", "It ended (exit status -9).")
    child = learn(*[crash] * 9)

    training_jobs.work_on(run.pk)

    run.refresh_from_db()
    assert run.state == State.FAILED
    assert "exit status -9" in run.error
    assert [spec["resume"] for spec in child.specs] == [False, True, True, True]


def test_pictures_that_changed_meanwhile_begin_the_training_anew(
    run: TrainingRun, learn: Any
) -> None:
    crash = TrainingStoppedError("training_stopped", "Ended.")
    changed = TrainingRefusedError(tasks.TrainingError("data_changed", "They have changed."))
    child = learn(crash, changed)

    training_jobs.work_on(run.pk)

    run.refresh_from_db()
    assert run.state == State.DONE
    assert [spec["resume"] for spec in child.specs] == [False, True, False]


def test_a_worker_that_stops_puts_the_run_back_and_the_next_goes_on(
    run: TrainingRun, learn: Any
) -> None:
    child = learn(WorkerStoppingError())
    training_jobs.work_on(run.pk)
    run.refresh_from_db()
    assert (run.state, run.lease) == (State.QUEUED, None)

    training_jobs.work_on(run.pk)

    run.refresh_from_db()
    assert run.state == State.DONE
    assert [spec["resume"] for spec in child.specs] == [False, True]


class KilledError(BaseException):
    """What a kill is to the code that it hits: nothing after it happens."""


@pytest.mark.parametrize("step", ["note", "move", "commit", "conclude"])
def test_a_worker_killed_while_taking_in_leaves_one_version(
    run: TrainingRun, learn: Any, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = learn()

    def kill(*_: object, **__: object) -> None:
        raise KilledError

    def kill_after(function: Callable[..., Any]) -> Callable[..., Any]:
        def killed(*arguments: Any, **options: Any) -> None:
            function(*arguments, **options)
            raise KilledError

        return killed

    with monkeypatch.context() as patch:
        if step == "note":
            patch.setattr(taking_in, "_finished_folder", kill)
        elif step == "move":  # the folder has moved; its row is rolled back
            patch.setattr(services, "register_version", kill_after(services.register_version))
        elif step == "commit":
            patch.setattr(taking_in, "conclude", kill)
        else:
            patch.setattr(taking_in, "_decide", kill_after(taking_in._decide))
        with pytest.raises(KilledError):
            training_jobs.work_on(run.pk)
    run.refresh_from_db()
    assert run.state == State.RUNNING
    assert run.recognizer.active_version() is None

    training_jobs.work_on(run.pk)

    run.refresh_from_db()
    version = ModelVersion.objects.get()
    assert (run.state, run.version) == (State.DONE, version)
    assert version.is_active
    assert version.activations.count() == 1
    assert folders(run.recognizer) == ["v1"]
    assert len(child.specs) == 1  # nothing was trained twice


def test_who_lost_the_lease_writes_nothing(run: TrainingRun) -> None:
    first = HeldRun.claim(run)
    assert first is not None
    second = HeldRun.claim(run)
    assert second is not None
    second.write(stage="training")

    with pytest.raises(LeaseLostError):
        first.write(stage="late")
    with pytest.raises(LeaseLostError):
        first.end(State.FAILED)

    run.refresh_from_db()
    assert (run.state, run.stage) == (State.RUNNING, "training")


# Cancelling


def test_a_waiting_run_is_cancelled_at_once(run: TrainingRun, learn: Any) -> None:
    child = learn()

    training_runs.request_cancel(run)

    training_jobs.work_on(run.pk)
    run.refresh_from_db()
    assert run.state == State.CANCELLED
    assert not child.specs


def test_a_run_at_work_is_cancelled_by_its_holder_and_leaves_nothing(
    run: TrainingRun, learn: Any
) -> None:
    learn(TrainingCancelledError())

    training_jobs.work_on(run.pk)

    run.refresh_from_db()
    assert run.state == State.CANCELLED
    assert not Workspace.named("colors").path.exists()
    assert not ModelVersion.objects.exists()


def test_the_holder_sees_that_its_run_is_to_be_cancelled(run: TrainingRun, tmp_path: Path) -> None:
    held = HeldRun.claim(run)
    with locks.held(training_runs.lock_name("colors")):
        training_runs.request_cancel(run)

        run.refresh_from_db()
        assert run.state == State.RUNNING
        with pytest.raises(TrainingCancelledError):
            Watch(held, tmp_path / EVENTS_NAME).look()


def test_a_run_whose_holder_died_is_cancelled_at_once(run: TrainingRun) -> None:
    HeldRun.claim(run)

    training_runs.request_cancel(run)

    run.refresh_from_db()
    assert run.state == State.CANCELLED


# Commands


def asked(**changes: Any) -> tasks.RetrainRequest:
    return tasks.RetrainRequest(slug="colors", options={"architecture": "cnn"}, **changes)


def test_a_command_makes_the_first_version_and_its_run_together(learn: Any, db: None) -> None:
    child = learn()

    outcome = tasks.retrain(asked(sources=[Path("/pictures")]))

    run = TrainingRun.objects.get()
    assert (run.state, run.cause, run.version) == (State.DONE, "command", outcome.version)
    assert run.history == [EPOCH]
    assert len(child.specs) == 1


def test_a_command_is_refused_while_the_admin_s_training_waits(
    run: TrainingRun, learn: Any
) -> None:
    child = learn()

    with pytest.raises(ApplicationError, match="by a person, is under way"):
        tasks.retrain(asked())

    assert not child.specs


def test_a_command_is_refused_while_another_process_trains(run: TrainingRun, learn: Any) -> None:
    learn()
    with (
        locks.held(training_runs.lock_name("colors")),
        pytest.raises(ApplicationError, match="is under way"),
    ):
        tasks.retrain(asked())


def test_a_command_that_is_stopped_goes_on_in_the_same_run(
    recognizer: Recognizer, learn: Any
) -> None:
    child = learn(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        tasks.retrain(asked(sources=[Path("/pictures")]))
    assert TrainingRun.objects.get().state == State.CANCELLED

    tasks.retrain(asked(resume=True))

    assert TrainingRun.objects.get().state == State.DONE
    assert [spec["resume"] for spec in child.specs] == [False, True]
    with pytest.raises(tasks.TrainingError, match="no interrupted training"):
        tasks.retrain(asked(resume=True))


def test_a_worker_goes_on_where_a_command_was_killed(recognizer: Recognizer, learn: Any) -> None:
    child = learn(KilledError())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "_end_here", lambda *_: None)
        with pytest.raises(KilledError):
            tasks.retrain(asked(sources=[Path("/pictures")]))
    run = TrainingRun.objects.get()
    assert run in training_runs.stranded_runs()

    training_jobs.work_on(run.pk)

    run.refresh_from_db()
    assert run.state == State.DONE
    assert [spec["resume"] for spec in child.specs] == [False, True]


def test_a_command_replaces_the_run_of_a_killed_one(recognizer: Recognizer, learn: Any) -> None:
    learn()
    dead = TrainingRun.objects.create(recognizer=recognizer, cause="command", state="running")

    tasks.retrain(asked(sources=[Path("/pictures")]))

    dead.refresh_from_db()
    assert dead.state == State.CANCELLED
    assert TrainingRun.objects.filter(state=State.DONE).count() == 1


def test_a_cancelled_command_says_so_and_leaves_nothing(recognizer: Recognizer, learn: Any) -> None:
    learn(TrainingCancelledError())

    with pytest.raises(TrainingStoppedError, match="cancelled in the admin"):
        tasks.retrain(asked(sources=[Path("/pictures")]))

    assert TrainingRun.objects.get().state == State.CANCELLED
    assert not Workspace.named("colors").path.exists()
