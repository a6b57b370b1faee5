"""Directories of its own for each test, and a recognizer of colours that really classifies."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from ml.artifact import ArtifactMetadata, write_artifact
from ml.preprocessing import Preprocessing
from recognition import services, serving
from recognition.models import ModelVersion, Recognizer
from tests.networks import COLOR_LABELS, COLOR_WEIGHTS, color_network
from tests.recognition.pictures import make_picture

SIZE_PX = 32
METRICS = {"n": 30, "accuracy": 0.9, "accuracy_interval": [0.74, 0.97], "macro_f1": 0.9}

ArtifactWriter = Callable[..., Path]


def write_color_artifact(
    directory: Path,
    *,
    labels: Sequence[str] = COLOR_LABELS,
    weights: npt.NDArray[np.float32] = COLOR_WEIGHTS,
    name: str = "Colours",
    files: dict[str, bytes] | None = None,
    **changes: Any,
) -> Path:
    """Write a version folder of the colour network; `changes` go into its metadata."""
    metadata: dict[str, Any] = {
        "name": name,
        "labels": tuple(labels),
        "preprocessing": Preprocessing(height_px=SIZE_PX, width_px=SIZE_PX),
        "architecture": "colors",
        "parameters": int(weights.size),
        "config": {},
        "temperature": 1.0,
        "dataset": {},
        "libraries": {},
        "created_at": "2026-11-22T00:00:00+00:00",
        "files": {},
    }
    network = color_network(weights, size_px=SIZE_PX)
    write_artifact(
        directory,
        ArtifactMetadata(**(metadata | changes)),
        {"model.tflite": network} | (files or {}),
    )
    return directory


@pytest.fixture(autouse=True)
def data_directories(tmp_path: Path, settings: Any) -> Path:
    """Give the test a data directory of its own."""
    settings.DATA_DIR = tmp_path
    settings.VERSIONS_DIR = tmp_path / "versions"
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.TRAINING_DIR = tmp_path / "training"
    settings.CACHE_DIR = tmp_path / "cache"
    settings.PRETRAINED_DIR = tmp_path / "pretrained"
    return tmp_path


@pytest.fixture(autouse=True)
def foreground_registry(monkeypatch: pytest.MonkeyPatch) -> serving.Registry:
    """Let each use of the registry look at the test's own rows, in the test's own thread."""
    registry = serving.Registry(background=False)
    monkeypatch.setattr(serving, "registry", registry)
    return registry


@pytest.fixture(scope="session", autouse=True)
def close_decoder() -> Iterator[None]:
    """End the child that decodes when all tests are done."""
    yield
    serving.decoder().close()


@pytest.fixture
def recognizer(db: None) -> Recognizer:
    """Return a recognizer of the colours blue, green and red, without a version yet."""
    return Recognizer.objects.create(slug="colors", name="Colours")


@pytest.fixture
def add_version(recognizer: Recognizer, tmp_path: Path) -> Callable[..., ModelVersion]:
    """Return a function that registers one more version of `recognizer`."""
    count = 0

    def add(*, activate: bool = True, **changes: Any) -> ModelVersion:
        nonlocal count
        count += 1
        directory = write_color_artifact(tmp_path / "made" / str(count), **changes)
        version = services.register_version(recognizer, directory, metrics=METRICS)
        if activate:
            services.activate_version(version, note="made by a test")
        return version

    return add


@pytest.fixture
def served(recognizer: Recognizer, add_version: Callable[..., ModelVersion]) -> Recognizer:
    """Return the recognizer with an active first version: uploads to it are classified."""
    add_version()
    return recognizer


@pytest.fixture
def picture_bytes() -> bytes:
    """Return a red JPEG of 64 × 48 px."""
    return make_picture()


@pytest.fixture
def picture_file(picture_bytes: bytes) -> SimpleUploadedFile:
    """Return the red JPEG as a form sends it."""
    return SimpleUploadedFile("red.jpg", picture_bytes, "image/jpeg")
