"""What may enter the snapshot of a training: the database itself decides."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from recognition import services
from recognition.models import Prediction, Recognizer, SnapshotItem, TrainingRun

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(served: Recognizer) -> TrainingRun:
    return TrainingRun.objects.create(recognizer=served)


@pytest.fixture
def prediction(served: Recognizer, picture_bytes: bytes) -> Prediction:
    return services.classify_upload(served, picture_bytes, visitor_id=None)


def take(run: TrainingRun, prediction: Prediction, label: str) -> SnapshotItem:
    return SnapshotItem.objects.create(
        run=run,
        prediction_id=prediction.pk,
        picture_sha256=prediction.picture_sha256,
        label=label,
    )


def test_reviewed_and_agreed_pictures_are_taken(run: TrainingRun, prediction: Prediction) -> None:
    services.review_predictions([prediction], "green", User.objects.create_user("ada"))
    assert take(run, prediction, "green").pk
    SnapshotItem.objects.all().delete()
    services.review_predictions([prediction], "green", User.objects.create_user("bob"))
    prediction.refresh_from_db()
    assert prediction.state == "agreed"
    assert take(run, prediction, "green").pk


def test_prediction_and_suggestion_are_refused(run: TrainingRun, prediction: Prediction) -> None:
    with pytest.raises(IntegrityError, match="only reviewed"), transaction.atomic():
        take(run, prediction, "red")
    services.suggest_label(prediction, "green")
    with pytest.raises(IntegrityError, match="only reviewed"), transaction.atomic():
        take(run, prediction, "green")


def test_dispute_and_none_of_the_classes_are_refused(
    run: TrainingRun, prediction: Prediction
) -> None:
    ada, bob = User.objects.create_user("ada"), User.objects.create_user("bob")
    services.review_predictions([prediction], services.NONE_OF_THESE, ada)
    with pytest.raises(IntegrityError, match="only reviewed"), transaction.atomic():
        take(run, prediction, "")
    services.review_predictions([prediction], "green", bob)
    prediction.refresh_from_db()
    assert prediction.state == "disputed"
    with pytest.raises(IntegrityError, match="only reviewed"), transaction.atomic():
        take(run, prediction, "green")


def test_label_that_reviewers_did_not_say_is_refused(
    run: TrainingRun, prediction: Prediction
) -> None:
    services.review_predictions([prediction], "green", User.objects.create_user("ada"))
    with pytest.raises(IntegrityError, match="only reviewed"), transaction.atomic():
        take(run, prediction, "blue")


def test_one_training_of_a_recognizer_at_a_time(run: TrainingRun) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        TrainingRun.objects.create(recognizer=run.recognizer)
    run.state, run.ended_at = TrainingRun.State.CANCELLED, timezone.now()
    run.save()
    assert TrainingRun.objects.create(recognizer=run.recognizer).is_under_way


def test_training_cannot_be_done_without_a_version(run: TrainingRun) -> None:
    run.state, run.ended_at = TrainingRun.State.DONE, timezone.now()
    with pytest.raises(IntegrityError):
        run.save()
