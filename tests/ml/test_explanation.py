"""Where the network looked: maps of 0 to 255, and overlays that lie where they belong."""

import io

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp
from PIL import Image

from ml.explanation import activation_map, overlay_png

WHOLE = (0.0, 0.0, 1.0, 1.0)
COLD, HOT = [[0, 0], [0, 0]], [[255, 255], [255, 255]]


def rgba(png: bytes) -> npt.NDArray[np.int64]:
    """Return the pixels (height, width, 4)."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")).astype(np.int64)


def test_map_is_scaled_to_its_strongest_place() -> None:
    activation = np.zeros((2, 2, 3), np.float32)
    activation[:, :, 1] = [[0.5, -3.0], [2.0, 1.0]]

    assert activation_map(activation, 1) == [[64, 0], [255, 128]]


def test_map_without_support_for_the_class_is_cold() -> None:
    assert activation_map(np.full((2, 3, 1), -1, np.float32), 0) == [[0, 0, 0], [0, 0, 0]]


@given(stnp.arrays(np.float32, (3, 4, 2), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_map_holds_plain_numbers_from_0_to_255(activation: npt.NDArray[np.float32]) -> None:
    rows = activation_map(activation, 0)

    assert np.shape(rows) == (3, 4)
    assert all(type(value) is int and 0 <= value <= 255 for row in rows for value in row)
    if activation[:, :, 0].max() > 0:
        assert max(map(max, rows)) == 255


@pytest.mark.parametrize("class_index", [-1, 3])
def test_unknown_class_is_refused(class_index: int) -> None:
    with pytest.raises(ValueError, match="activation must be"):
        activation_map(np.zeros((2, 2, 3), np.float32), class_index)


def test_overlay_has_the_size_of_the_picture() -> None:
    assert rgba(overlay_png(HOT, WHOLE, 37, 21)).shape == (21, 37, 4)


def test_cold_places_are_transparent_and_hot_ones_let_the_picture_through() -> None:
    assert (rgba(overlay_png(COLD, WHOLE, 8, 8))[..., 3] == 0).all()
    alpha = rgba(overlay_png(HOT, WHOLE, 8, 8))[..., 3]
    assert (alpha > 128).all()
    assert (alpha < 255).all()


def test_warmer_is_lighter_and_less_transparent() -> None:
    row = rgba(overlay_png([[0, 255]], WHOLE, 256, 1))[0]
    lightness = row[:, :3] @ [0.2126, 0.7152, 0.0722]

    assert (np.diff(row[:, 3]) >= 0).all()
    assert (np.diff(lightness) >= -0.75).all()  # whole numbers may step back by a rounding
    assert lightness[-1] - lightness[0] > 150


def test_heat_lies_where_the_network_found_it() -> None:
    rows = [[0] * 4 for _ in range(4)]
    rows[0][3] = 255

    alpha = rgba(overlay_png(rows, WHOLE, 80, 40))[..., 3]

    y_px, x_px = np.unravel_index(alpha.argmax(), alpha.shape)
    assert x_px >= 60
    assert y_px <= 5
    assert alpha[20:].max() == 0


def test_nothing_is_drawn_outside_what_the_network_saw() -> None:
    alpha = rgba(overlay_png(HOT, (0.25, 0.5, 0.75, 1.0), 100, 100))[..., 3]

    assert (alpha[50:, 25:75] > 0).all()
    alpha[50:, 25:75] = 0
    assert not alpha.any()


def test_padding_around_the_picture_is_cut_off() -> None:
    """Letterboxed: of four rows the outer two lie above and below the picture."""
    rows = [[255, 255], [0, 0], [0, 0], [255, 255]]

    alpha = rgba(overlay_png(rows, (0.0, -0.5, 1.0, 1.5), 60, 60))[..., 3]

    assert alpha[0].max() > alpha[30].max() == 0
    assert (alpha == alpha[::-1]).all()


@pytest.mark.parametrize("rows", [[], [[]], [[1], [1, 2]], [[256]], [[-1]], [["x"]], [1, 2]])
def test_rows_that_are_no_map_are_refused(rows: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="rows must be"):
        overlay_png(rows, WHOLE, 8, 8)


@pytest.mark.parametrize(
    "region", [(0, 0, 0, 1), (0, 1, 1, 0), (0, 0, float("nan"), 1), (0, 0, float("inf"), 1)]
)
def test_region_without_area_is_refused(region: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="region must be"):
        overlay_png(HOT, region, 8, 8)


@pytest.mark.parametrize(("width_px", "height_px"), [(0, 8), (8, 0), (8, 4097)])
def test_impossible_size_is_refused(width_px: int, height_px: int) -> None:
    with pytest.raises(ValueError, match="px a side"):
        overlay_png(HOT, WHOLE, width_px, height_px)
