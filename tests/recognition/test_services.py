import errno
import hashlib
import logging
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import OperationalError
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ml.inference import Classification
from ml.sketch import unpack
from recognition import reviewing, services
from recognition.errors import ApplicationError, NoActiveVersionError, StorageFullError
from recognition.models import (
    PROBABILITY_SUM_TOLERANCE,
    ErasureReceipt,
    ModelVersion,
    Prediction,
    Recognizer,
    Review,
)
from tests.recognition.pictures import BLUE, GREEN, RED, make_picture


def stored_files(settings: Any) -> list[Path]:
    return [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]


@pytest.fixture
def prediction(served: Recognizer, picture_bytes: bytes) -> Prediction:
    return services.classify_upload(served, picture_bytes, visitor_id=None)


@pytest.fixture
def reviewer(db: None) -> User:
    return User.objects.create_user("ada")


@pytest.mark.parametrize(("color", "label"), [(RED, "red"), (GREEN, "green"), (BLUE, "blue")])
def test_upload_is_classified_and_stored(
    served: Recognizer, settings: Any, color: tuple[int, ...], label: str
) -> None:
    visitor_id = uuid4()

    prediction = services.classify_upload(served, make_picture(color), visitor_id=visitor_id)

    row = Prediction.objects.get()
    assert row == prediction
    assert row.label == label
    assert row.probability > 0.99
    assert row.margin == pytest.approx(row.probability - sorted(row.probabilities)[-2], abs=1e-6)
    assert row.visitor_id == visitor_id
    assert row.model_version == served.active_version()
    assert row.state == Prediction.State.PREDICTED
    assert row.duration_ms > 0
    assert (row.width_px, row.height_px) == (64, 48)
    assert row.activation_region == [0, 0, 1, 1]
    assert row.activation_map is not None
    assert {len(line) for line in row.activation_map} == {4}
    assert stored_files(settings) == [row.picture_path]
    data = row.picture_path.read_bytes()
    assert row.picture_sha256 == hashlib.sha256(data).hexdigest()
    with Image.open(BytesIO(data)) as stored:
        assert (stored.format, stored.size) == ("JPEG", (64, 48))


def test_stored_label_is_the_first_of_the_top_classes_also_when_tied(
    recognizer: Recognizer, add_version: Callable[..., ModelVersion], picture_bytes: bytes
) -> None:
    add_version(labels=("z", "b", "a"), weights=np.zeros((3, 3), np.float32))
    prediction = services.classify_upload(recognizer, picture_bytes, visitor_id=None)
    assert prediction.label == prediction.top_classes(1)[0][0] == "a"
    assert prediction.margin == 0


def test_sketch_of_the_embedding_is_stored_with_the_prediction(prediction: Prediction) -> None:
    (stored,) = unpack([bytes(prediction.embedding.sketch)])
    assert np.linalg.norm(stored) > 0


@pytest.mark.parametrize(("share", "audited"), [(0.0, 0), (1.0, 5)])
def test_share_of_the_uploads_is_drawn_for_the_audit(
    served: Recognizer, picture_bytes: bytes, share: float, audited: int
) -> None:
    served.audit_share = share
    for _ in range(5):
        services.classify_upload(served, picture_bytes, visitor_id=None)
    assert Prediction.objects.filter(is_audit=True).count() == audited


def test_single_class_has_its_whole_probability_as_margin(
    recognizer: Recognizer, add_version: Callable[..., ModelVersion], picture_bytes: bytes
) -> None:
    add_version(labels=("a",), weights=np.ones((1, 3), np.float32))
    prediction = services.classify_upload(recognizer, picture_bytes, visitor_id=None)
    assert (prediction.probability, prediction.margin) == (1.0, 1.0)


@given(logits=st.lists(st.floats(-60, 60, width=32), min_size=1, max_size=400))
def test_rounded_probabilities_stay_valid(logits: list[float]) -> None:
    exponentials = np.exp(np.array(logits, np.float32) - max(logits))
    probabilities = (exponentials / exponentials.sum()).astype(np.float32)
    labels = tuple(f"{index:03}" for index in range(len(logits)))
    result = Classification(
        labels=labels,
        probabilities=probabilities,
        logits=np.array(logits, np.float32),
        embedding=np.zeros(1, np.float32),
        activation=None,
    )

    rounded, ranking = services.ranked(result)

    assert abs(sum(rounded) - 1) <= PROBABILITY_SUM_TOLERANCE
    assert all(0 <= p <= 1 for p in rounded)
    assert [rounded[index] for index in ranking] == sorted(rounded, reverse=True)
    assert sorted(ranking) == list(range(len(logits)))


def test_recognizer_without_version_cannot_classify(
    recognizer: Recognizer, picture_bytes: bytes, settings: Any
) -> None:
    with pytest.raises(NoActiveVersionError, match="retrain colors") as refusal:
        services.classify_upload(recognizer, picture_bytes, visitor_id=None)
    assert (refusal.value.code, refusal.value.status) == ("no_model", 503)
    assert stored_files(settings) == []


def test_refused_picture_leaves_nothing(served: Recognizer, settings: Any) -> None:
    with pytest.raises(ApplicationError) as refusal:
        services.classify_upload(served, b"no picture", visitor_id=None)
    assert refusal.value.code in {"bad_image", "unsupported_type"}
    assert not Prediction.objects.exists()
    assert stored_files(settings) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_told_and_leaves_nothing(
    served: Recognizer,
    picture_bytes: bytes,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    def write_some(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:10])
        raise OSError(number, "no room")

    monkeypatch.setattr(Path, "write_bytes", write_some)
    with pytest.raises(StorageFullError) as refusal:
        services.classify_upload(served, picture_bytes, visitor_id=None)
    assert (refusal.value.code, refusal.value.status) == ("storage_full", 503)
    assert stored_files(settings) == []
    assert not Prediction.objects.exists()


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (OperationalError("database or disk is full"), "storage_full"),
        (OperationalError("database is locked"), "database_unavailable"),
    ],
)
def test_row_that_cannot_be_written_takes_its_file_with_it(
    served: Recognizer,
    picture_bytes: bytes,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    fault: Exception,
    expected: str,
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        assert stored_files(settings), "the file comes first"
        raise fault

    monkeypatch.setattr(Prediction, "save", refuse)
    with pytest.raises(ApplicationError) as refusal:
        services.classify_upload(served, picture_bytes, visitor_id=None)
    assert refusal.value.code == expected
    assert refusal.value.retry_after_s
    assert stored_files(settings) == []


def test_deleted_prediction_takes_picture_and_reviews_along(
    prediction: Prediction,
    reviewer: User,
    settings: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:
    services.review_predictions([prediction], None, reviewer)
    with django_capture_on_commit_callbacks(execute=True):
        services.delete_prediction(prediction, cause=ErasureReceipt.Cause.STAFF)
    assert not Prediction.objects.exists()
    assert not Review.objects.exists()
    assert stored_files(settings) == []


def test_suggestion_waits_for_a_review(prediction: Prediction) -> None:
    services.suggest_label(prediction, "green")
    prediction.refresh_from_db()
    assert (prediction.state, prediction.suggested_label) == ("suggested", "green")
    assert prediction.current_label == "red"
    assert not Prediction.objects.reviewed().exists()


def test_suggestion_may_say_that_it_is_none_of_the_classes(prediction: Prediction) -> None:
    services.suggest_label(prediction, services.NONE_OF_THESE)
    prediction.refresh_from_db()
    assert (prediction.state, prediction.suggested_label) == ("suggested", "")
    assert prediction.suggested_at is not None


def test_unknown_label_cannot_be_suggested(prediction: Prediction) -> None:
    with pytest.raises(ValidationError, match="blue, green, red"):
        services.suggest_label(prediction, "mauve")
    prediction.refresh_from_db()
    assert (prediction.state, prediction.suggested_label) == ("predicted", "")


def test_suggestion_does_not_undo_a_review(prediction: Prediction, reviewer: User) -> None:
    services.review_predictions([prediction], "blue", reviewer)
    services.suggest_label(prediction, "green")
    prediction.refresh_from_db()
    assert prediction.state == "reviewed"
    assert (prediction.reviewed_label, prediction.suggested_label) == ("blue", "green")


def test_confirming_settles_what_the_network_said(prediction: Prediction, reviewer: User) -> None:
    assert services.review_predictions(Prediction.objects.all(), None, reviewer) == 1
    prediction.refresh_from_db()
    assert (prediction.state, prediction.reviewed_label) == ("reviewed", "red")
    review = Review.objects.get()
    assert (review.previous_label, review.label, review.reviewer) == ("red", "red", reviewer)


def test_later_review_corrects_and_both_are_kept(prediction: Prediction, reviewer: User) -> None:
    services.review_predictions([prediction], "green", reviewer)
    services.review_predictions([prediction], " mauve ", reviewer)
    prediction.refresh_from_db()
    assert prediction.reviewed_label == "mauve"
    history = Review.objects.order_by("id").values_list("previous_label", "label")
    assert list(history) == [("red", "green"), ("green", "mauve")]


@pytest.mark.parametrize("label", ["  ", "x" * 201, "two\nlines", "nul\0"])
def test_label_that_cannot_be_one_is_not_reviewed(
    prediction: Prediction, reviewer: User, label: str
) -> None:
    with pytest.raises(ValidationError):
        services.review_predictions([prediction], label, reviewer)
    prediction.refresh_from_db()
    assert prediction.state == "predicted"
    assert not Review.objects.exists()


def test_many_predictions_are_reviewed_in_batches(
    prediction: Prediction, reviewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviewing, "REVIEW_BATCH_ROWS", 2)
    for _ in range(4):
        prediction.pk = uuid4()
        prediction.picture = f"pictures/{prediction.pk}.jpg"
        prediction.save(force_insert=True)
    assert services.review_predictions(Prediction.objects.all(), "blue", reviewer) == 5
    assert Prediction.objects.reviewed().count() == Review.objects.count() == 5


def test_nothing_of_the_upload_is_logged_but_its_refusal(
    served: Recognizer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "recognition")
    with pytest.raises(ApplicationError):
        services.classify_upload(served, b"secret-bytes", visitor_id=None)
    assert "secret-bytes" not in caplog.text
