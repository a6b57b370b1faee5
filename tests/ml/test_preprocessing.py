"""A picture becomes the network's input as the artifact says, and in no other way."""

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from ml.errors import ArtifactError
from ml.images import Pixels
from ml.preprocessing import LETTERBOX_LEVEL, Preprocessing, prepare

sizes = st.integers(1, 40)
preprocessings = st.builds(
    Preprocessing,
    height_px=sizes,
    width_px=sizes,
    color=st.sampled_from(["rgb", "grey"]),
    fit=st.sampled_from(["stretch", "letterbox", "crop"]),
    ink=st.booleans(),
    widest_ink=st.floats(0.1, 1),
)
pictures = npst.arrays(
    np.uint8, st.tuples(st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 3]))
)


def halves(width_px: int, height_px: int) -> Pixels:
    """Return a picture with a red left half and a blue right half."""
    pixels = np.zeros((height_px, width_px, 3), np.uint8)
    pixels[:, : width_px // 2, 0] = 255
    pixels[:, width_px // 2 :, 2] = 255
    return pixels


def specks() -> Pixels:
    """Return two faint specks far apart, of which nothing is left when they are made small."""
    pixels = np.zeros((15, 47, 1), np.uint8)
    pixels[0, 0], pixels[14, 37] = 13, 2
    return pixels


@given(pictures, preprocessings)
@example(specks(), Preprocessing(height_px=1, width_px=1, color="rgb", fit="stretch", ink=True))
def test_any_picture_gives_the_shape_that_was_asked_for(
    pixels: Pixels, preprocessing: Preprocessing
) -> None:
    prepared = prepare(pixels, preprocessing)
    channels = 3 if preprocessing.color == "rgb" else 1
    assert prepared.pixels.shape == (preprocessing.height_px, preprocessing.width_px, channels)
    assert prepared.pixels.dtype == np.uint8
    left, top, right, bottom = prepared.region
    assert np.isfinite(prepared.region).all()
    assert left < right
    assert top < bottom


@given(preprocessings)
def test_description_survives_json(preprocessing: Preprocessing) -> None:
    values = json.loads(json.dumps(preprocessing.to_dict()))
    assert Preprocessing.from_dict(values) == preprocessing


def test_description_without_optional_fields_has_the_defaults() -> None:
    preprocessing = Preprocessing.from_dict({"height_px": 5, "width_px": 6})
    assert preprocessing == Preprocessing(height_px=5, width_px=6, color="rgb", fit="stretch")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"height_px": 0, "width_px": 5}, "height_px must be a whole number from 1 to 2048"),
        ({"height_px": 5, "width_px": 2049}, "received 2049"),
        ({"height_px": 5.0, "width_px": 5}, "received 5.0"),
        ({"height_px": "5", "width_px": 5}, "received '5'"),
        ({"height_px": True, "width_px": 5}, "received True"),
        ({"height_px": 5}, "width_px"),
        ({}, "height_px and width_px"),
        ({"height_px": 5, "width_px": 5, "color": "bgr"}, "color must be rgb or grey"),
        ({"height_px": 5, "width_px": 5, "fit": "squash"}, "stretch or letterbox or crop"),
        ({"height_px": 5, "width_px": 5, "fit": ["crop"]}, "received"),
        ({"height_px": 5, "width_px": 5, "ink": 1}, "ink must be true or false, received 1"),
        ({"height_px": 5, "width_px": 5, "widest_ink": 0}, "above 0 and at most 1, received 0"),
        ({"height_px": 5, "width_px": 5, "widest_ink": "1"}, "received '1'"),
        ({"height_px": 5, "width_px": 5, "mean": 0.5}, "received 'mean'"),
    ],
)
def test_wrong_description_is_refused_by_name(values: dict[str, object], words: str) -> None:
    with pytest.raises(ArtifactError, match=words) as caught:
        Preprocessing.from_dict(values)
    assert caught.value.code == "bad_preprocessing"


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=["no channels", "four channels", "floats", "no rows"],
)
def test_array_that_is_no_picture_is_refused(pixels: Pixels) -> None:
    with pytest.raises(ValueError, match="received"):
        prepare(pixels, Preprocessing(height_px=4, width_px=4))


def test_stretch_shows_the_whole_picture() -> None:
    prepared = prepare(halves(80, 20), Preprocessing(height_px=16, width_px=16))
    assert prepared.region == (0, 0, 1, 1)
    assert tuple(prepared.pixels[8, 1]) == (255, 0, 0)
    assert tuple(prepared.pixels[8, 14]) == (0, 0, 255)


def test_letterbox_keeps_the_aspect_and_pads_with_mid_grey() -> None:
    preprocessing = Preprocessing(height_px=16, width_px=16, fit="letterbox")
    prepared = prepare(halves(80, 20), preprocessing)
    assert (prepared.pixels[:6] == LETTERBOX_LEVEL).all()
    assert (prepared.pixels[10:] == LETTERBOX_LEVEL).all()
    assert tuple(prepared.pixels[8, 1]) == (255, 0, 0)
    assert prepared.region == (0, -1.5, 1, 2.5)


def test_crop_takes_the_middle() -> None:
    preprocessing = Preprocessing(height_px=16, width_px=16, fit="crop")
    prepared = prepare(halves(80, 20), preprocessing)
    assert prepared.region == (0.375, 0, 0.625, 1)
    assert tuple(prepared.pixels[8, 2]) == (255, 0, 0)
    assert tuple(prepared.pixels[8, 13]) == (0, 0, 255)


def test_grey_is_luma_and_rgb_of_a_grey_picture_repeats_it() -> None:
    red = np.full((4, 4, 3), (255, 0, 0), np.uint8)
    grey = Preprocessing(height_px=4, width_px=4, color="grey")
    assert (prepare(red, grey).pixels == 76).all()
    rgb = Preprocessing(height_px=4, width_px=4)
    assert (prepare(np.full((4, 4, 1), 9, np.uint8), rgb).pixels == 9).all()


def test_preparing_leaves_the_picture_as_it_was() -> None:
    pixels = halves(30, 20)
    for preprocessing in (
        Preprocessing(height_px=20, width_px=30),
        Preprocessing(height_px=28, width_px=28, ink=True),
    ):
        prepare(pixels, preprocessing)
        assert np.array_equal(pixels, halves(30, 20))
