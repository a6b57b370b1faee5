"""Pages: escaped, complete or not at all; thumbnails small, and sharp where they are tiny."""

import base64
import io

import jinja2
import numpy as np
import pytest
from PIL import Image

from ml.pages import data_uri, render_page, thumbnail_uri
from tests.ml.report_pictures import contents


def picture_in(uri: str) -> Image.Image:
    head, _, body = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    image = Image.open(io.BytesIO(base64.b64decode(body)))
    image.load()
    return image


@pytest.mark.parametrize(
    ("shape", "size", "mode"),
    [
        ((160, 160, 3), (96, 96), "RGB"),
        ((200, 100, 3), (48, 96), "RGB"),
        ((28, 28, 1), (84, 84), "L"),
        ((28, 28), (84, 84), "L"),
        ((1, 1, 3), (96, 96), "RGB"),
        ((60, 60, 3), (60, 60), "RGB"),
    ],
)
def test_thumbnails_fit_their_square(
    shape: tuple[int, ...], size: tuple[int, int], mode: str
) -> None:
    picture = picture_in(thumbnail_uri(np.full(shape, 200, np.uint8)))

    assert (picture.size, picture.mode) == (size, mode)
    assert abs(int(np.asarray(picture).mean()) - 200) <= 2


@pytest.mark.parametrize("pixels", [np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3))])
def test_other_arrays_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be uint8"):
        thumbnail_uri(pixels)


def test_bytes_become_an_address() -> None:
    assert data_uri(b"\x00\xff", "image/png") == "data:image/png;base64,AP8="


def test_a_page_that_lacks_a_value_is_refused_rather_than_left_blank() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render_page("report.html", contents=contents())
