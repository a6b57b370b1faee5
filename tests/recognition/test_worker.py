"""The worker: jobs are done once, those of the dead again, and duties fall due."""

import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from django_tasks import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from benchmarks import job_kinds
from recognition import jobs, locks, services, training_runs, worker
from recognition.models import Recognizer, SnapshotItem, TrainingRun
from recognition.schedules import is_due
from recognition.worker import QueueWorker, do_duties, lock_name, recover_jobs
from tests.recognition.predictions import make_prediction

pytestmark = pytest.mark.django_db

NIGHT = datetime(2026, 11, 26, 2, 30, tzinfo=UTC)


def claimed_by(*worker_ids: str) -> DBTaskResult[Any, Any]:
    """Return a job that was begun once by each of the workers."""
    job_kinds.leave_a_mark.enqueue(1)
    result = DBTaskResult.objects.get()
    for worker_id in worker_ids:
        result.claim(worker_id)
    return result


def ran_out(queue: str) -> None:
    """Work on a queue until it is empty."""
    stopping = threading.Event()
    stopping.wait = lambda _s=None: stopping.set() or True  # type: ignore[method-assign,assignment,func-returns-value]
    QueueWorker(queue, "w", stopping).run()


# Queues


def test_a_worker_does_what_waits_in_its_queue_and_nothing_else(recognizer: Recognizer) -> None:
    job_kinds.leave_a_mark.enqueue(1)
    job_kinds.fail.enqueue()
    jobs.train.enqueue(str(uuid.uuid4()))

    ran_out("default")

    states = dict(DBTaskResult.objects.values_list("task_path", "status"))
    assert states == {
        job_kinds.leave_a_mark.module_path: TaskResultStatus.SUCCESSFUL,
        job_kinds.fail.module_path: TaskResultStatus.FAILED,
        jobs.train.module_path: TaskResultStatus.READY,
    }
    assert job_kinds.marks() == [1]


# The dead


def test_the_job_of_a_living_worker_is_left_alone() -> None:
    result = claimed_by("alive")
    with locks.held(lock_name("alive")):
        recover_jobs()

    result.refresh_from_db()
    assert result.status == TaskResultStatus.RUNNING


def test_the_job_of_a_dead_worker_is_done_again_after_the_others(recognizer: Recognizer) -> None:
    result = claimed_by("dead")

    recover_jobs()

    result.refresh_from_db()
    assert result.status == TaskResultStatus.READY
    assert result.priority < 0
    ran_out("default")
    result.refresh_from_db()
    assert result.status == TaskResultStatus.SUCCESSFUL


def test_a_job_that_kills_its_workers_is_given_up_the_third_time() -> None:
    result = claimed_by("first", "second", "third")

    recover_jobs()

    result.refresh_from_db()
    assert result.status == TaskResultStatus.FAILED
    assert "workers died" in result.traceback


def test_a_training_goes_on_however_often_its_worker_died(recognizer: Recognizer) -> None:
    training_runs.request_training(recognizer)
    result = DBTaskResult.objects.get()
    for number in range(20):
        result.claim(str(number))

    recover_jobs()

    result.refresh_from_db()
    assert (result.status, result.priority) == (TaskResultStatus.READY, 0)


@pytest.mark.parametrize("state", [TrainingRun.State.QUEUED, TrainingRun.State.RUNNING])
def test_a_training_that_nobody_would_look_at_gets_one_job(
    recognizer: Recognizer, state: TrainingRun.State
) -> None:
    run = training_runs.request_training(recognizer)
    DBTaskResult.objects.all().delete()
    TrainingRun.objects.update(state=state)

    jobs.enqueue_stranded_trainings()
    jobs.enqueue_stranded_trainings()

    assert DBTaskResult.objects.get().args_kwargs["args"] == [str(run.pk)]


def test_a_training_in_living_hands_gets_no_job(recognizer: Recognizer) -> None:
    training_runs.request_training(recognizer)
    DBTaskResult.objects.all().delete()
    with locks.held(training_runs.lock_name(recognizer.slug)):
        jobs.enqueue_stranded_trainings()

    assert not DBTaskResult.objects.exists()


# Duties


def test_a_duty_that_fails_holds_up_no_other_and_only_one_worker_does_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []

    def broken() -> None:
        done.append("broken")
        raise ValueError("broken")

    def sound() -> None:
        done.append("sound")

    monkeypatch.setattr(worker, "PERIODIC", (broken, sound))
    with locks.held(worker.PERIODIC_LOCK):
        do_duties()
    assert done == []

    do_duties()

    assert done == ["broken", "sound"]


def test_old_results_are_deleted_and_failures_stay_longer() -> None:
    ended = [("SUCCESSFUL", 2), ("SUCCESSFUL", 0), ("FAILED", 8), ("FAILED", 2)]
    for number, (status, days) in enumerate(ended):
        job = job_kinds.leave_a_mark.enqueue(number)
        DBTaskResult.objects.filter(pk=job.id).update(
            status=status, finished_at=timezone.now() - timedelta(days=days)
        )

    worker.prune_results()

    left = {row.args_kwargs["args"][0] for row in DBTaskResult.objects.all()}
    assert left == {1, 3}


# Schedules


@pytest.fixture
def reviewed(recognizer: Recognizer, add_version: Callable[..., Any]) -> Recognizer:
    """Return the recognizer with three pictures reviewed, and a schedule that wants so many."""
    version = add_version()
    predictions = [make_prediction(version) for _ in range(3)]
    services.review_predictions(predictions, "green", User.objects.create_user("reviewer"))
    recognizer.schedule_reviews = 3
    recognizer.schedule_hour = 2
    recognizer.save()
    return recognizer


@pytest.mark.parametrize(
    ("schedule", "hour", "due"),
    [("never", 2, False), ("threshold", 14, True), ("nightly", 2, True), ("nightly", 7, True),
     ("nightly", 1, False), ("nightly", 14, False)],
)  # fmt: skip
def test_a_training_is_due_when_the_schedule_says_so(
    reviewed: Recognizer, schedule: str, hour: int, due: bool
) -> None:
    reviewed.schedule = schedule
    reviewed.save()

    assert is_due(reviewed, NIGHT.replace(hour=hour)) is due


def test_too_few_new_reviews_make_no_training_due(reviewed: Recognizer) -> None:
    reviewed.schedule = "threshold"
    reviewed.schedule_reviews = 4

    assert not is_due(reviewed, NIGHT)


def test_what_the_last_training_knew_is_not_new_unless_its_label_changed(
    reviewed: Recognizer, add_version: Callable[..., Any]
) -> None:
    reviewed.schedule = "threshold"
    reviewed.schedule_reviews = 1
    run = TrainingRun.objects.create(
        recognizer=reviewed, state="done", version=add_version(), ended_at=NIGHT
    )
    for prediction in reviewed.predictions.reviewed():  # type: ignore[attr-defined]
        SnapshotItem.objects.create(
            run=run, prediction_id=prediction.pk, picture_sha256="0" * 64, label="green"
        )
    assert not is_due(reviewed, NIGHT)

    services.review_predictions(
        [reviewed.predictions.all()[0]], "red", User.objects.get(username="reviewer")
    )

    assert is_due(reviewed, NIGHT)


def test_a_night_has_one_training_and_a_failed_one_is_not_repeated_at_once(
    reviewed: Recognizer,
) -> None:
    TrainingRun.objects.create(
        recognizer=reviewed, cause="schedule", state="failed", ended_at=NIGHT, created_at=NIGHT
    )
    for schedule in ("nightly", "threshold"):
        reviewed.schedule = schedule

        assert not is_due(reviewed, NIGHT + timedelta(hours=2))
        assert is_due(reviewed, NIGHT + timedelta(hours=25))


def test_duties_ask_for_the_training_that_is_due(reviewed: Recognizer) -> None:
    reviewed.schedule = "threshold"
    reviewed.save()

    do_duties()
    do_duties()

    run = TrainingRun.objects.get()
    assert (run.cause, run.state) == ("schedule", "queued")
