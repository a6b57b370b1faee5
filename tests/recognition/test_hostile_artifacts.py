"""Folders that only look like model versions: refused by name, never opened further."""

import hashlib
import io
import json
import os
import pickle
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml.errors import ArtifactError
from recognition import services
from recognition.models import ModelVersion, Recognizer
from tests.recognition.conftest import write_color_artifact

Spoil = Callable[[Path], None]


def rewrite_metadata(directory: Path, **changes: Any) -> None:
    path = directory / "metadata.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | changes))


def replace_network(directory: Path, data: bytes) -> None:
    """Put another network in place, with the SHA-256 that vouches for it."""
    (directory / "model.tflite").write_bytes(data)
    rewrite_metadata(directory, files={"model.tflite": hashlib.sha256(data).hexdigest()})


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.marker,)


def keras_archive() -> bytes:
    """Return an archive with a Lambda layer, as a .keras file may have."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", '{"class_name": "Lambda", "module": "os"}')
    return file.getvalue()


def pickled(directory: Path) -> None:
    replace_network(directory, pickle.dumps(Bomb(directory.parent / "marker")))


def keras_instead_of_litert(directory: Path) -> None:
    replace_network(directory, keras_archive())


def empty_network(directory: Path) -> None:
    replace_network(directory, b"")


def half_network(directory: Path) -> None:
    data = (directory / "model.tflite").read_bytes()
    replace_network(directory, data[: len(data) // 2])


def huge_offsets(directory: Path) -> None:
    data = (directory / "model.tflite").read_bytes()
    replace_network(directory, b"\xff\xff\xff\x7f" + data[4:])


def name_outside_the_folder(directory: Path) -> None:
    rewrite_metadata(directory, files={"../../../../etc/hostname": "0" * 64})


def absolute_name(directory: Path) -> None:
    rewrite_metadata(directory, files={"/etc/hostname": "0" * 64})


def network_not_vouched_for(directory: Path) -> None:
    rewrite_metadata(directory, files={})


def unknown_format(directory: Path) -> None:
    rewrite_metadata(directory, format_version=2)


def no_labels(directory: Path) -> None:
    rewrite_metadata(directory, labels=[])


def same_label_twice(directory: Path) -> None:
    rewrite_metadata(directory, labels=["a", "a", "b"])


def code_in_preprocessing(directory: Path) -> None:
    rewrite_metadata(directory, preprocessing={"__import__": "os"})


def temperature_nan(directory: Path) -> None:
    rewrite_metadata(directory, temperature=float("nan"))


def nested_metadata(directory: Path) -> None:
    (directory / "metadata.json").write_text("[" * 100_000)


@pytest.mark.parametrize(
    "spoil",
    [
        pickled,
        keras_instead_of_litert,
        empty_network,
        half_network,
        huge_offsets,
        name_outside_the_folder,
        absolute_name,
        network_not_vouched_for,
        unknown_format,
        no_labels,
        same_label_twice,
        code_in_preprocessing,
        temperature_nan,
        nested_metadata,
    ],
    ids=lambda spoil: spoil.__name__,
)
def test_hostile_folder_never_becomes_active(
    recognizer: Recognizer,
    add_version: Callable[..., ModelVersion],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Spoil,
) -> None:
    add_version()
    hostile = write_color_artifact(tmp_path / "hostile")
    spoil(hostile)

    def refuse(self: socket.socket, address: Any) -> None:
        raise AssertionError(f"connected to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)

    with pytest.raises(ArtifactError):
        services.activate_version(services.register_version(recognizer, hostile, metrics={}))

    assert recognizer.versions.get(is_active=True).number == 1
    assert not list(tmp_path.rglob("marker"))
