"""Old pictures shown to a new version: every one once, resumed after a crash, never twice."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from recognition import challengers, jobs, repredicting, services
from recognition.errors import ApplicationError
from recognition.models import ModelVersion, Prediction, Reprediction, RepredictionRun
from tests.networks import COLOR_WEIGHTS
from tests.recognition.predictions import make_prediction

AddVersion = Callable[..., ModelVersion]
RED_IS_GREEN = COLOR_WEIGHTS[[0, 2, 1]]


@pytest.fixture
def old(add_version: AddVersion) -> ModelVersion:
    return add_version()


@pytest.fixture
def new(old: ModelVersion, add_version: AddVersion) -> ModelVersion:
    return add_version(weights=RED_IS_GREEN)


@pytest.fixture(autouse=True)
def small_batches_and_nothing_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repredicting, "BATCH_PICTURES", 3)
    monkeypatch.setattr(repredicting, "_loaded", OrderedDict())


def begin(version: ModelVersion) -> RepredictionRun:
    return repredicting.start(version)


def test_every_old_picture_is_seen_once(old: ModelVersion, new: ModelVersion) -> None:
    same_moment = timezone.now()
    for _ in range(5):  # more than a batch at the same moment
        make_prediction(old, created_at=same_moment)
    for hours in range(3):
        make_prediction(old, created_at=same_moment - timedelta(hours=hours + 1), label="blue")
    own = make_prediction(new)
    run = begin(new)

    assert repredicting.work_on(run.pk) is False

    run.refresh_from_db()
    assert (run.state, run.pictures, run.seen, run.unreadable) == ("done", 9, 9, 0)
    assert run.changed == 8
    rows = Reprediction.objects.all()
    assert {row.prediction_id for row in rows} == set(
        Prediction.objects.exclude(pk=own.pk).values_list("pk", flat=True)
    )
    assert {(row.label, row.is_shadow, row.agrees) for row in rows} == {("green", False, False)}
    assert set(Prediction.objects.values_list("label", flat=True)) == {"red", "blue"}


def test_a_slice_ends_and_the_next_one_goes_on(old: ModelVersion, new: ModelVersion) -> None:
    for _ in range(7):
        make_prediction(old)
    run = begin(new)

    assert repredicting.work_on(run.pk, slice_s=0) is True
    assert Reprediction.objects.count() == 3
    assert repredicting.work_on(run.pk, slice_s=0) is True
    assert repredicting.work_on(run.pk, slice_s=0) is False

    run.refresh_from_db()
    assert (run.state, run.seen) == ("done", 7)
    assert Reprediction.objects.count() == 7


def test_the_job_queues_itself_until_it_is_done(
    old: ModelVersion, new: ModelVersion, django_capture_on_commit_callbacks: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for _ in range(4):
        make_prediction(old)
    with django_capture_on_commit_callbacks(execute=True):
        run = begin(new)
    task = DBTaskResult.objects.get()
    assert (task.task_path, task.priority) == ("recognition.jobs.predict_anew", -10)

    work = repredicting.work_on
    monkeypatch.setattr(repredicting, "work_on", lambda run_id: work(run_id, slice_s=0))
    jobs.predict_anew.func(str(run.pk))
    assert DBTaskResult.objects.count() == 2
    jobs.predict_anew.func(str(run.pk))
    assert DBTaskResult.objects.count() == 2


def test_a_batch_that_was_written_before_a_crash_is_not_written_again(
    old: ModelVersion, new: ModelVersion
) -> None:
    predictions = [make_prediction(old) for _ in range(4)]
    run = begin(new)
    # Killed after the answers were written and before the row moved.
    repredicting.predict_again(predictions[-3:], new, is_shadow=False)

    repredicting.work_on(run.pk)

    assert Reprediction.objects.count() == 4
    run.refresh_from_db()
    assert (run.state, run.seen, run.changed) == ("done", 4, 4)


def test_of_two_jobs_for_the_same_pass_the_slower_stops(
    old: ModelVersion, new: ModelVersion
) -> None:
    for _ in range(7):
        make_prediction(old)
    run = begin(new)
    stale = RepredictionRun.objects.get(pk=run.pk)
    repredicting.work_on(run.pk, slice_s=0)

    assert repredicting._do_batch(stale) is False

    run.refresh_from_db()
    assert (run.state, run.seen) == ("running", 3)


def test_a_cancelled_pass_stops_and_keeps_its_answers(old: ModelVersion, new: ModelVersion) -> None:
    for _ in range(7):
        make_prediction(old)
    run = begin(new)
    repredicting.work_on(run.pk, slice_s=0)

    assert repredicting.cancel(run)

    assert repredicting.work_on(run.pk) is False
    run.refresh_from_db()
    assert (run.state, Reprediction.objects.count()) == ("cancelled", 3)
    assert not repredicting.cancel(run)
    assert begin(new).state == "running"


def test_one_pass_of_a_version_at_a_time(new: ModelVersion) -> None:
    begin(new)
    with pytest.raises(ApplicationError, match="being shown to colors v2 already"):
        begin(new)
    with pytest.raises(IntegrityError), transaction.atomic():
        RepredictionRun.objects.create(version=new, stands_at=timezone.now())


def test_a_pass_that_stands_still_is_taken_up_again(old: ModelVersion, new: ModelVersion) -> None:
    run = begin(new)
    assert not repredicting.resume(run)

    run.moved_at -= timedelta(minutes=6)
    run.save()
    assert repredicting.is_stalled(run)
    assert repredicting.resume(run)

    assert DBTaskResult.objects.get().args_kwargs["args"] == [str(run.pk)]
    run.refresh_from_db()
    assert not repredicting.is_stalled(run)


def test_a_version_that_does_not_load_ends_the_pass_with_the_reason(
    old: ModelVersion, new: ModelVersion
) -> None:
    make_prediction(old)
    run = begin(new)
    (new.path / "model.tflite").unlink()

    assert repredicting.work_on(run.pk) is False

    run.refresh_from_db()
    assert run.state == "failed"
    assert "model.tflite is missing" in run.error


def test_pictures_that_cannot_be_read_are_counted(old: ModelVersion, new: ModelVersion) -> None:
    make_prediction(old).picture_path.unlink()
    make_prediction(old)
    run = begin(new)

    repredicting.work_on(run.pk)

    run.refresh_from_db()
    assert (run.seen, run.unreadable, Reprediction.objects.count()) == (2, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_an_upload_that_was_deleted_meanwhile_costs_the_others_nothing(
    old: ModelVersion, new: ModelVersion
) -> None:
    batch = [make_prediction(old), make_prediction(old)]
    Prediction.objects.filter(pk=batch[0].pk).delete()  # after the batch was read

    written = repredicting.predict_again(batch, new, is_shadow=False)

    assert [row.prediction_id for row in written] == [batch[1].pk]
    assert Reprediction.objects.count() == 1


def test_what_a_challenger_said_becomes_an_answer_for_people(
    old: ModelVersion, add_version: AddVersion
) -> None:
    version = add_version(activate=False, weights=RED_IS_GREEN)
    challengers.set_challenger(version)
    prediction = make_prediction(old)
    challengers.predict_in_shadow(prediction.pk)
    assert prediction.later_answer() is None
    services.activate_version(version)

    run = begin(version)
    repredicting.work_on(run.pk)

    said = prediction.later_answer()
    assert said is not None
    assert (said.label, said.is_shadow) == ("green", False)
    run.refresh_from_db()
    assert (run.seen, run.changed) == (1, 1)


def test_the_version_asked_last_has_the_last_word_and_reviews_stay(
    old: ModelVersion, new: ModelVersion, add_version: AddVersion
) -> None:
    newest = add_version()
    prediction = make_prediction(old)
    services.review_predictions([prediction], "blue", User.objects.create_user("rosa"))
    for version in (newest, new):
        repredicting.predict_again([prediction], version, is_shadow=False)

    prediction.refresh_from_db()
    said = prediction.later_answer()
    assert said is not None
    assert (said.model_version, said.label) == (new, "green")
    assert prediction.current_label == "blue"
