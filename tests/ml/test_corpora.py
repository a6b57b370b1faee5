"""Awkward and broken pictures that nobody here wrote: `pytest --corpora DIR`."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ml.errors import ImageError
from ml.images import DecodedImage, decode_image
from ml.preprocessing import Preprocessing
from ml.sandbox import DecoderProcess

MAX_SECONDS_A_FILE = 5

pytestmark = pytest.mark.filterwarnings("ignore")  # what Pillow remarks on broken files


@pytest.fixture(scope="module")
def decoder() -> Iterator[DecoderProcess]:
    with DecoderProcess(wall_s=MAX_SECONDS_A_FILE) as decoder:
        yield decoder


def pictures_of(corpora: Path) -> list[Path]:
    paths = sorted(path for path in corpora.rglob("*") if path.is_file())
    assert paths, f"{corpora} holds no file"
    return paths


def test_every_file_is_decoded_or_refused_in_time_whatever_its_name(
    corpora: Path, tmp_path: Path
) -> None:
    renamed = tmp_path / "upload.jpg"
    renamed.touch()
    for path in pictures_of(corpora):
        renamed.write_bytes(path.read_bytes())
        outcomes = []
        for name in (path, renamed):
            started = time.monotonic()
            outcomes.append(outcome(name))
            assert time.monotonic() - started <= MAX_SECONDS_A_FILE, path
        assert outcomes[0] == outcomes[1], path


def test_every_file_leaves_the_decoder_process_alive(
    corpora: Path, decoder: DecoderProcess
) -> None:
    preprocessing = Preprocessing(height_px=28, width_px=28, color="grey", ink=True)
    for path in pictures_of(corpora):
        try:
            upload = decoder.decode(path.read_bytes(), preprocessing)
        except ImageError as error:
            assert error.code == outcome(path), path
        else:
            assert upload.copy_jpeg.startswith(b"\xff\xd8\xff"), path
            assert upload.prepared.pixels.shape == (28, 28, 1), path


def test_orientations_of_one_picture_agree(corpora: Path) -> None:
    for kind in ("Landscape", "Portrait"):
        decoded = [
            decode_image(path) for path in pictures_of(corpora) if path.stem.startswith(f"{kind}_")
        ]
        if not decoded:
            pytest.skip(f"the corpora hold no {kind}_1.jpg to {kind}_8.jpg")
        first = decoded[0].pixels.astype(np.int16)
        for other in decoded[1:]:
            assert other.pixels.shape == first.shape
            assert np.abs(other.pixels - first).mean() < 4


def outcome(path: Path) -> str:
    try:
        decoded: DecodedImage = decode_image(path)
    except ImageError as error:
        return error.code
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.shape[2] == 3
    return f"{decoded.format} {decoded.width_px}x{decoded.height_px} {decoded.pixels.sum()}"
