"""An upload deleted while a real training has it among its pictures."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from ml.picture_caches import caches_with
from recognition import erasing, services, tasks
from recognition.models import ErasureReceipt, ModelVersion, Prediction, Recognizer, TrainingRun
from recognition.tasks import RetrainRequest
from tests.ml.training_pictures import write_folder
from tests.recognition.pictures import make_picture
from tests.recognition.predictions import make_prediction

pytestmark = pytest.mark.django_db

CAUSE = ErasureReceipt.Cause.VISITOR


@pytest.fixture
def reviewed(served: Recognizer, settings: Any) -> list[Prediction]:
    """Return two uploads with reviewed labels, which do not look alike."""
    version = served.active_version()
    assert version is not None
    rows = []
    for color, label in (((250, 10, 10), "red"), ((10, 10, 250), "blue")):
        row = make_prediction(version)
        row.picture_path.write_bytes(make_picture(color, (40, 40)))
        services.review_predictions([row], label, User.objects.get_or_create(username="ada")[0])
        row.refresh_from_db()
        rows.append(row)
    return rows


def train_and_delete(
    prediction: Prediction,
    moment: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capture: Callable[..., Any],
) -> ModelVersion:
    """Train on folders and the reviewed; delete a prediction just before `tasks.<moment>`."""
    goes_on = getattr(tasks, moment)

    def delete_first(*args: Any, **kwargs: Any) -> Any:
        with capture(execute=True):
            assert services.delete_prediction(prediction, cause=CAUSE)
        return goes_on(*args, **kwargs)

    monkeypatch.setattr(tasks, moment, delete_first)
    request = RetrainRequest(
        slug="colors",
        sources=[write_folder(tmp_path / "colors", 12)],
        options={"architecture": "cnn", "epochs": 1, "image_size_px": 24},
    )
    return tasks.retrain(request).version


def finish_later(settings: Any) -> int:
    """Do what a worker does some minutes later; return what is still left."""
    for note in (Path(settings.DATA_DIR) / "erasures").iterdir():
        os.utime(note, (0, 0))
    return erasing.follow_up_all()


@pytest.mark.slow
def test_deleted_before_it_was_read_a_training_goes_on_without_it(
    reviewed: list[Prediction],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:
    gone, kept = reviewed
    version = train_and_delete(
        gone, "_train", tmp_path, monkeypatch, django_capture_on_commit_callbacks
    )
    assert TrainingRun.objects.get().state == "done"
    assert erasing.versions_that_learned([kept.pk]) == [version]
    assert erasing.versions_that_learned([gone.pk]) == []
    assert finish_later(settings) == 0
    assert not ErasureReceipt.objects.get().learned_versions.exists()


def test_deleted_after_it_was_read_it_leaves_when_the_training_ends_and_the_version_is_named(
    reviewed: list[Prediction],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:
    gone, _kept = reviewed
    version = train_and_delete(
        gone, "_take_in", tmp_path, monkeypatch, django_capture_on_commit_callbacks
    )
    assert erasing.versions_that_learned([gone.pk]) == [version]
    assert finish_later(settings) == 0
    assert list(ErasureReceipt.objects.get().learned_versions.all()) == [version]
    assert not (Path(settings.TRAINING_DIR) / "colors").exists()
    assert caches_with(Path(settings.CACHE_DIR), [f"prediction {gone.pk}"]) == []
    assert not gone.picture_path.exists()
