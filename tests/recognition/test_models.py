from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from recognition.models import RESERVED_SLUGS, ModelVersion, Prediction, Recognizer, Review

pytestmark = pytest.mark.django_db


@pytest.fixture
def version(recognizer: Recognizer) -> ModelVersion:
    return ModelVersion.objects.create(
        recognizer=recognizer, number=1, directory="colors/v1", labels=["blue", "green", "red"]
    )


def unsaved_prediction(version: ModelVersion, **changes: Any) -> Prediction:
    prediction_id = uuid4()
    values: dict[str, Any] = {
        "id": prediction_id,
        "recognizer": version.recognizer,
        "model_version": version,
        "picture": f"pictures/{prediction_id}.jpg",
        "picture_sha256": "0" * 64,
        "width_px": 64,
        "height_px": 48,
        "probabilities": [0.1, 0.2, 0.7],
        "label": "red",
        "probability": 0.7,
        "margin": 0.5,
        "duration_ms": 3.0,
    }
    return Prediction(**(values | changes))


@pytest.fixture
def prediction(version: ModelVersion) -> Prediction:
    prediction = unsaved_prediction(version)
    prediction.save()
    return prediction


@pytest.fixture
def review(prediction: Prediction) -> Review:
    reviewer = User.objects.create_user("ada")
    return Review.objects.create(
        prediction=prediction, reviewer=reviewer, previous_label="red", label="green"
    )


def test_every_change_of_a_model_has_its_migration() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.parametrize("slug", RESERVED_SLUGS)
def test_slug_that_is_an_address_is_refused(slug: str) -> None:
    with pytest.raises(ValidationError, match="address of another page"):
        Recognizer(slug=slug, name="X").full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        Recognizer.objects.create(slug=slug, name="X")


def test_second_active_version_is_refused(version: ModelVersion) -> None:
    now = timezone.now()
    ModelVersion.objects.update(is_active=True, activated_at=now)
    with pytest.raises(IntegrityError):
        ModelVersion.objects.create(
            recognizer=version.recognizer, number=2, labels=[], is_active=True, activated_at=now
        )


def test_active_version_without_activation_time_is_refused(version: ModelVersion) -> None:
    with pytest.raises(IntegrityError):
        ModelVersion.objects.update(is_active=True)


def test_same_number_twice_is_refused(version: ModelVersion) -> None:
    with pytest.raises(IntegrityError):
        ModelVersion.objects.create(recognizer=version.recognizer, number=1, labels=[])


BAD_PROBABILITIES = [
    [],
    {"red": 1.0},
    [0.5, 0.6],
    [0.2, 0.2],
    [1.2, -0.2],
    ["1"],
    [True],
    [[1]],
    [None, 1],
]


@pytest.mark.parametrize("probabilities", BAD_PROBABILITIES, ids=str)
def test_bad_probabilities_are_refused_by_save(version: ModelVersion, probabilities: Any) -> None:
    with pytest.raises(ValidationError):
        unsaved_prediction(version, probabilities=probabilities).save()


@pytest.mark.parametrize("probabilities", BAD_PROBABILITIES, ids=str)
def test_bad_probabilities_are_refused_by_the_database(
    version: ModelVersion, prediction: Prediction, probabilities: Any
) -> None:
    with pytest.raises(IntegrityError, match="probabilities"), transaction.atomic():
        Prediction.objects.bulk_create([unsaved_prediction(version, probabilities=probabilities)])
    with pytest.raises(IntegrityError, match="probabilities"), transaction.atomic():
        Prediction.objects.update(probabilities=probabilities)
    prediction.refresh_from_db()
    assert prediction.probabilities == [0.1, 0.2, 0.7]


@pytest.mark.parametrize("probabilities", [[1], [0.9995, 0], [0, 1.0, 0], [0.333, 0.333, 0.333]])
def test_probabilities_within_rounding_are_kept(
    version: ModelVersion, probabilities: list[float]
) -> None:
    prediction = unsaved_prediction(version, probabilities=probabilities)
    prediction.save()
    prediction.refresh_from_db()
    assert prediction.probabilities == probabilities


@pytest.mark.parametrize(
    "changes",
    [
        {"probability": 1.1},
        {"margin": 0.8},
        {"margin": -0.1},
        {"duration_ms": -1},
        {"state": "suggested"},
        {"reviewed_label": "green"},
        {"set_size": 2},
        {"set_level": 0.9},
        {"set_level": 1.0, "set_size": 2},
        {"set_level": 0.9, "set_size": 0},
        {"novelty": 0.5},
        {"novelty_threshold": 0.5},
        {"answer": "one"},
        {"answer": "one", "set_level": 0.9, "set_size": 2},
        {"answer": "several", "set_level": 0.9, "set_size": 1},
        {"answer": "none"},
        {"answer": "none", "novelty": 0.4, "novelty_threshold": 0.5},
        {"answer": "perhaps", "set_level": 0.9, "set_size": 1},
    ],
    ids=str,
)
def test_prediction_that_contradicts_itself_is_refused(
    version: ModelVersion, changes: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError):
        unsaved_prediction(version, **changes).save()


def test_top_classes_are_sorted_and_ties_go_by_label(version: ModelVersion) -> None:
    prediction = unsaved_prediction(version, probabilities=[0.25, 0.5, 0.25])
    assert prediction.top_classes(2) == [("green", 0.5), ("blue", 0.25)]
    assert len(prediction.top_classes(10**30)) == 3


def edit_by_save(review: Review) -> None:
    review.label = "blue"
    review.save()


def edit_by_queryset(review: Review) -> None:
    Review.objects.filter(pk=review.pk).update(label="blue")


def edit_by_bulk_update(review: Review) -> None:
    review.label = "blue"
    Review.objects.bulk_update([review], ["label"])


def edit_by_sql(review: Review) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE recognition_review SET label = 'blue'")


@pytest.mark.parametrize(
    ("edit", "refusal"),
    [
        (edit_by_save, ValidationError),
        (edit_by_queryset, IntegrityError),
        (edit_by_bulk_update, IntegrityError),
        (edit_by_sql, IntegrityError),
    ],
)
def test_review_is_never_edited(
    review: Review, edit: Callable[[Review], None], refusal: type[Exception]
) -> None:
    with pytest.raises(refusal, match="never edited"), transaction.atomic():
        edit(review)
    review.refresh_from_db()
    assert review.label == "green"


def test_retraction_with_a_label_is_refused(review: Review) -> None:
    with pytest.raises(IntegrityError):
        Review.objects.create(
            prediction=review.prediction,
            reviewer=review.reviewer,
            previous_label="red",
            label="green",
            is_retraction=True,
        )


def test_reviews_go_with_their_prediction(review: Review) -> None:
    review.prediction.delete()
    assert not Review.objects.exists()
