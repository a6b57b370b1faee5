"""A challenger sees every upload in the shadow of the active version, and costs it nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django_tasks_db.models import DBTaskResult

from ml.errors import ArtifactError
from recognition import challengers, jobs, services
from recognition.errors import ApplicationError
from recognition.models import ErasureReceipt, ModelVersion, Prediction, Recognizer, Reprediction
from tests.networks import COLOR_WEIGHTS
from tests.recognition.pictures import make_picture
from tests.recognition.predictions import make_prediction

AddVersion = Callable[..., ModelVersion]
RED_IS_GREEN = COLOR_WEIGHTS[[0, 2, 1]]


@pytest.fixture
def champion(add_version: AddVersion) -> ModelVersion:
    return add_version()


@pytest.fixture
def challenger(champion: ModelVersion, add_version: AddVersion) -> ModelVersion:
    """Return a challenger that takes red for green."""
    version = add_version(activate=False, weights=RED_IS_GREEN)
    challengers.set_challenger(version)
    return version


def upload(recognizer: Recognizer) -> Prediction:
    return services.classify_upload(recognizer, make_picture(), visitor_id=None)


# Who challenges


def test_one_version_challenges_at_a_time(
    challenger: ModelVersion, add_version: AddVersion, recognizer: Recognizer
) -> None:
    other = add_version(activate=False)
    challengers.set_challenger(other)
    assert recognizer.challenger() == other
    assert challengers.unset_challenger(other)
    assert recognizer.challenger() is None
    assert not challengers.unset_challenger(other)


def test_the_active_version_does_not_challenge_itself(champion: ModelVersion) -> None:
    with pytest.raises(ApplicationError, match="cannot challenge itself") as refusal:
        challengers.set_challenger(champion)
    assert refusal.value.code == "already_active"


def test_a_version_that_does_not_load_does_not_challenge(
    challenger: ModelVersion, add_version: AddVersion, recognizer: Recognizer
) -> None:
    broken = add_version(activate=False)
    (broken.path / "model.tflite").unlink()
    with pytest.raises(ArtifactError, match=r"model\.tflite is missing"):
        challengers.set_challenger(broken)
    assert recognizer.challenger() == challenger


# Uploads


def test_an_upload_is_queued_for_the_challenger_once_it_is_stored(
    challenger: ModelVersion, recognizer: Recognizer, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        prediction = upload(recognizer)

    task = DBTaskResult.objects.get()
    assert task.task_path == "recognition.jobs.predict_in_shadow"
    assert task.args_kwargs["args"] == [str(prediction.pk)]
    assert task.queue_name == "default"


def test_without_a_challenger_nothing_is_queued(
    champion: ModelVersion, recognizer: Recognizer, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        upload(recognizer)
    assert not DBTaskResult.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_queue_that_fails_does_not_fail_the_upload(
    challenger: ModelVersion, recognizer: Recognizer
) -> None:
    table = DBTaskResult._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO gone")
    try:
        prediction = upload(recognizer)
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE gone RENAME TO {table}")

    assert Prediction.objects.get() == prediction
    assert prediction.picture_path.is_file()
    assert not DBTaskResult.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_worker_lets_the_challenger_see_what_was_uploaded(
    challenger: ModelVersion, recognizer: Recognizer
) -> None:
    prediction = upload(recognizer)

    call_command("db_worker", batch=True, interval=0, startup_delay=False, worker_id="test")

    assert DBTaskResult.objects.get().status == "SUCCESSFUL"
    said = Reprediction.objects.get()
    assert (said.prediction, said.model_version) == (prediction, challenger)
    assert (said.label, said.agrees, said.is_shadow) == ("green", False, True)
    assert said.probability == max(said.probabilities)
    prediction.refresh_from_db()
    assert (prediction.label, prediction.model_version_id) != ("green", challenger.pk)


def test_the_job_may_be_repeated(challenger: ModelVersion, champion: ModelVersion) -> None:
    prediction = make_prediction(champion)
    assert challengers.predict_in_shadow(prediction.pk) is not None
    assert challengers.predict_in_shadow(prediction.pk) is None
    jobs.predict_in_shadow.func(str(prediction.pk))
    assert Reprediction.objects.count() == 1


def test_there_is_nothing_to_do_for_a_deleted_upload_or_an_ended_challenge(
    challenger: ModelVersion, champion: ModelVersion
) -> None:
    gone, kept = make_prediction(champion), make_prediction(champion)
    services.delete_prediction(gone, cause=ErasureReceipt.Cause.VISITOR)
    assert challengers.predict_in_shadow(gone.pk) is None

    challengers.unset_challenger(challenger)
    assert challengers.predict_in_shadow(kept.pk) is None
    assert not Reprediction.objects.exists()


def test_a_picture_that_cannot_be_read_is_left_out(
    challenger: ModelVersion, champion: ModelVersion
) -> None:
    prediction = make_prediction(champion)
    prediction.picture_path.write_bytes(b"broken")
    assert challengers.predict_in_shadow(prediction.pk) is None


# Standing


def shadow(prediction: Prediction, version: ModelVersion, label: str) -> Reprediction:
    return Reprediction.objects.create(
        prediction=prediction, model_version=version, probabilities=[0, 0, 1], label=label,
        probability=1, is_shadow=True, agrees=label == prediction.label,
    )  # fmt: skip


def test_agreement_and_audit_are_counted_on_the_same_pictures(
    challenger: ModelVersion, champion: ModelVersion
) -> None:
    reviewer = User.objects.create_user("rosa")
    # (audited, what reviewers say, what the challenger says); the champion says red
    pictures = [
        (True, "red", "red"),
        (True, "green", "green"),
        (True, "green", "green"),
        (True, "red", "green"),
        (True, "blue", "green"),
        (False, "green", "green"),
        (True, None, "red"),
    ]
    for is_audit, right, said in pictures:
        prediction = make_prediction(champion, is_audit=is_audit)
        shadow(prediction, challenger, said)
        if right is not None:
            services.review_predictions([prediction], right, reviewer)

    result = challengers.standing(challenger, champion)

    assert (result.n, result.agreed) == (7, 2)
    assert result.agreement == pytest.approx(2 / 7)
    audit = result.audit
    assert (audit.n, audit.champion_right, audit.challenger_right) == (5, 2, 3)
    assert (audit.gained, audit.lost, audit.p) == (2, 1, 1.0)
    assert audit.champion_interval[0] < 2 / 5 < audit.champion_interval[1]


def test_only_the_latest_pictures_are_counted(
    challenger: ModelVersion, champion: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(challengers, "MOST_SEEN", 2)
    for label in ("blue", "blue", "red", "green"):
        shadow(make_prediction(champion), challenger, label)

    result = challengers.standing(challenger, champion)

    assert (result.n, result.agreed) == (2, 1)


def test_a_challenger_that_saw_nothing_has_no_agreement(
    challenger: ModelVersion, champion: ModelVersion
) -> None:
    result = challengers.standing(challenger, champion)
    assert result.agreement is None
    assert result.agreement_interval == (0.0, 1.0)
    assert result.audit.n == 0


def test_the_latest_disagreements_come_first(
    challenger: ModelVersion, champion: ModelVersion
) -> None:
    said = [
        shadow(make_prediction(champion), challenger, label) for label in ("blue", "red", "green")
    ]
    assert list(challengers.disagreements(challenger)) == [said[2], said[0]]
    assert list(challengers.disagreements(challenger, most=1)) == [said[2]]
