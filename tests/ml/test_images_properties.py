"""Whatever the bytes: a picture or an ImageError, and never anything else."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ml.errors import ImageError
from ml.images import WORKING_LONG_SIDE_PX, decode_image
from tests.ml.pictures import encoded, quarters, with_orientation

CODES = {"bad_image", "unsupported_type", "too_many_pixels", "file_too_large"}

# Mutants make Pillow remark on what it finds; the suite turns remarks into errors.
pytestmark = pytest.mark.filterwarnings("ignore")


@functools.cache
def seeds() -> tuple[bytes, ...]:
    picture = quarters(24, 16)
    palette = picture.quantize(8)
    return (
        with_orientation(picture, 6),
        encoded(picture, "JPEG", progressive=True),
        encoded(picture.convert("CMYK"), "JPEG"),
        encoded(picture, "MPO", save_all=True, append_images=[picture]),
        encoded(picture),
        encoded(palette, transparency=0),
        encoded(Image.new("I;16", (9, 9), 30_000)),
        encoded(picture, save_all=True, append_images=[picture.convert("L").convert("RGB")]),
        encoded(palette, "GIF"),
        encoded(picture, "WEBP"),
        encoded(picture, "AVIF"),
    )


def decode_or_refuse(data: bytes) -> None:
    try:
        decoded = decode_image(data, max_pixels=1_000_000)
    except ImageError as error:
        assert error.code in CODES
        assert error.message
    else:
        assert decoded.pixels.ndim == 3
        assert decoded.pixels.shape[2] == 3
        assert decoded.pixels.dtype == np.uint8


@given(st.binary(max_size=2000))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    decode_or_refuse(data)


@given(st.data())
@settings(max_examples=250, deadline=None)
def test_mutants_are_decoded_or_refused(data: st.DataObject) -> None:
    mutant = bytearray(data.draw(st.sampled_from(seeds())))
    positions = st.integers(0, len(mutant) - 1)
    for position in data.draw(st.lists(positions, min_size=1, max_size=8)):
        mutant[position] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        del mutant[data.draw(positions) :]
    decode_or_refuse(bytes(mutant))


@given(
    width_px=st.integers(1, 3000),
    height_px=st.integers(1, 60),
    image_format=st.sampled_from(["JPEG", "PNG"]),
)
@settings(max_examples=40, deadline=None)
def test_working_scale_keeps_the_long_side_between_704_and_1408(
    width_px: int, height_px: int, image_format: str
) -> None:
    decoded = decode_image(encoded(Image.new("L", (width_px, height_px), 120), image_format))
    long_side_px = max(decoded.pixels.shape[:2])
    assert (decoded.width_px, decoded.height_px) == (width_px, height_px)
    if max(width_px, height_px) >= WORKING_LONG_SIDE_PX:
        assert WORKING_LONG_SIDE_PX <= long_side_px < 2 * WORKING_LONG_SIDE_PX
    else:
        assert long_side_px == max(width_px, height_px)
