"""Writing of any colour, size, place and light comes out as MNIST's: and MNIST as it was."""

import numpy as np
import pytest
from PIL import Image

from ml.images import Pixels, resize
from ml.parts import connected_parts
from ml.preprocessing import PreparedImage, Preprocessing, prepare
from tests.ml.drawings import ink_of, likeness, picture

INK = Preprocessing(height_px=28, width_px=28, color="grey", ink=True)


def prepared(pixels: Pixels) -> Pixels:
    return prepare(pixels, INK).pixels[:, :, 0]


def clean(digit: str) -> Pixels:
    return prepared(picture(255 * (1 - ink_of(digit))))


def extent(pixels: Pixels) -> tuple[int, int]:
    rows = np.flatnonzero((pixels > 25).any(axis=1))
    columns = np.flatnonzero((pixels > 25).any(axis=0))
    return int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)


def mass_center(pixels: Pixels) -> tuple[float, float]:
    weights = pixels / pixels.sum(dtype=np.int64)
    return float(weights.sum(axis=1) @ np.arange(28)), float(weights.sum(axis=0) @ np.arange(28))


@pytest.mark.parametrize("digit", ["2", "7"])
def test_ink_is_light_on_black_20_px_long_and_centred_by_its_mass(digit: str) -> None:
    pixels = clean(digit)
    assert pixels[0].max() == 0
    assert pixels[:, 0].max() == 0
    assert pixels.max() == 255
    assert max(extent(pixels)) == 20
    down, across = mass_center(pixels)
    assert down == pytest.approx(14, abs=0.51)
    assert across == pytest.approx(14, abs=0.51)


@pytest.mark.parametrize("digit", ["2", "7"])
def test_picture_made_as_mnist_was_comes_out_unchanged(digit: str) -> None:
    once = clean(digit)
    assert np.array_equal(prepared(once[:, :, np.newaxis]), once)
    assert np.array_equal(prepared(255 - once[:, :, np.newaxis]), once)


def test_dark_on_light_and_light_on_dark_come_out_the_same() -> None:
    ink = ink_of("2")
    light = prepared(picture(20 + 200 * ink))
    dark = prepared(picture(235 - 200 * ink))
    assert likeness(light, dark) > 0.999


@pytest.mark.parametrize(
    "where",
    [
        {"left_px": 15, "top_px": 15},
        {"left_px": 260, "top_px": 160},
        {"size_px": 40, "pen_px": 5},
        {"size_px": 250, "pen_px": 29, "left_px": 60, "top_px": 20},
        {"width_px": 1200, "height_px": 900, "size_px": 110, "pen_px": 13},
    ],
    ids=["top left", "bottom right", "small", "large", "lost on a large canvas"],
)
def test_place_and_size_do_not_matter(where: dict[str, int]) -> None:
    pixels = prepared(picture(255 * (1 - ink_of("2", **where))))
    assert likeness(pixels, clean("2")) > 0.93


def test_thin_strokes_are_thickened_to_the_usual_and_stay_bright() -> None:
    pixels = prepared(picture(255 * (1 - ink_of("2", size_px=240, pen_px=2, left_px=80))))
    assert np.percentile(pixels[pixels > 0], 75) > 200
    assert max(extent(pixels)) in {19, 20}
    assert likeness(pixels, clean("2")) > 0.8


def test_grey_levels_are_kept() -> None:
    pixels = clean("2")
    assert ((pixels > 30) & (pixels < 220)).sum() > 20


@pytest.mark.parametrize("digit", ["2", "7"])
def test_uneven_light_and_noise_do_not_matter(digit: str) -> None:
    ink = ink_of(digit)
    down, across = np.mgrid[0:1:300j, 0:1:400j]
    paper = 110 + 90 * (0.6 * across + 0.4 * down)
    pixels = prepared(picture(paper * (1 - 0.7 * ink), noise=4))
    assert likeness(pixels, clean(digit)) > 0.9


@pytest.mark.parametrize("digit", ["2", "7"])
def test_faint_pencil_in_uneven_light_is_found(digit: str) -> None:
    down, across = np.mgrid[0:1:300j, 0:1:400j]
    paper = 90 + 130 * (0.6 * across + 0.4 * down)
    pixels = prepared(picture(paper * (1 - 0.35 * ink_of(digit, pen_px=9)), noise=4))
    assert likeness(pixels, clean(digit)) > 0.75


@pytest.mark.parametrize("digit", ["2", "7"])
def test_shadow_across_the_paper_is_not_taken_for_ink(digit: str) -> None:
    across = np.arange(400.0)
    paper = 225 - 100 / (1 + np.exp((170 - across) / 6))
    pixels = prepared(picture(paper * (1 - 0.7 * ink_of(digit, left_px=220)), noise=3))
    assert likeness(pixels, clean(digit)) > 0.9


def test_table_beside_the_paper_is_left_out() -> None:
    levels = 220 * (1 - 0.8 * ink_of("2"))
    levels[:, :30] = 50
    levels[-25:] = 60
    assert likeness(prepared(picture(levels, noise=3)), clean("2")) > 0.9


def test_specks_are_left_out() -> None:
    levels = 230 * (1 - 0.8 * ink_of("7", pen_px=16))
    rng = np.random.default_rng(2)
    for row, column in zip(rng.integers(0, 290, 30), rng.integers(0, 190, 30), strict=True):
        levels[row : row + 3, column : column + 3] = 60
    assert likeness(prepared(picture(levels)), clean("7")) > 0.9


def test_binary_strokes_that_touch_every_border_keep_their_polarity() -> None:
    tight = np.asarray(
        Image.fromarray(clean("2")).crop((6, 4, 23, 24)).resize((16, 16), Image.Resampling.BOX)
    )
    binary = np.where(tight > 100, 255, 0).astype(np.uint8)
    assert binary[0].any()
    assert binary[-1].any()
    for pixels in (binary, 255 - binary):
        came_out = prepared(pixels[:, :, np.newaxis])
        assert max(extent(came_out)) == 20
        assert (came_out > 127).mean() < 0.3


def test_bold_stroke_that_fills_more_than_half_of_a_tight_crop_is_still_ink() -> None:
    down, across = np.mgrid[-7.5:8:16j, -7.5:8:16j]
    distance = np.hypot(down, across)
    ring = np.where((distance < 8) & (distance > 4.4), 255, 0).astype(np.uint8)
    assert (ring > 0).mean() > 0.5
    for pixels in (ring, 255 - ring):
        came_out = prepared(pixels[:, :, np.newaxis])
        assert came_out[13:15, 13:15].max() == 0
        assert came_out[13, 5:7].min() > 200


@pytest.mark.parametrize("inverted", [False, True])
def test_heavy_strokes_around_holes_and_corners_keep_their_polarity(*, inverted: bool) -> None:
    y, x = np.mgrid[-7.5:8, -7.5:8]
    radius = np.hypot(x, y)
    ring = np.where((radius < 8) & (radius > 3.2), 255, 0).astype(np.uint8)
    assert ring.mean() > 127
    pixels = prepared(np.repeat((255 - ring if inverted else ring)[:, :, np.newaxis], 3, axis=2))
    assert pixels[14, 14] < 50
    assert pixels[14, 5] > 200


def test_two_bars_stay_ink_although_the_paper_between_them_is_in_one_piece() -> None:
    bars = np.zeros((20, 10), np.uint8)
    bars[:4] = bars[16:] = 255
    pixels = prepared(np.repeat(bars[:, :, np.newaxis], 3, axis=2))
    assert pixels[:, 14].max() == 255
    assert pixels[14, 14] == 0


def test_no_single_pixel_turns_light_into_dark() -> None:
    expected = clean("2")
    for level in (0.0, 255.0):
        for corner in ((0, 0), (299, 399), (150, 20)):
            levels = 200 - 120 * ink_of("2")
            levels[corner] = level
            assert likeness(prepared(picture(levels)), expected) > 0.98
        small = expected[:, :, np.newaxis].copy()
        small[0, 0] = level
        assert (prepared(small) > 127).mean() < 0.3


@pytest.mark.parametrize("level", [0, 120, 255])
@pytest.mark.parametrize("noise", [0.0, 5.0])
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (300, 400)])
def test_picture_without_ink_gives_a_valid_frame(
    level: int, noise: float, size: tuple[int, int]
) -> None:
    result = prepare(picture(np.full(size, float(level)), noise), INK)
    assert result.pixels.shape == (28, 28, 1)
    assert np.isfinite(result.region).all()
    if not noise:
        assert not result.pixels.any()
        assert result.region == (0, 0, 1, 1)


def test_noise_alone_is_not_ink_on_a_photograph() -> None:
    assert not prepared(picture(np.full((300, 400), 180.0), noise=5)).any()


def shown_by(result: PreparedImage, pixels: Pixels) -> Pixels:
    """Return what the region of a picture looks like at the frame's size."""
    height, width, _ = pixels.shape
    left, top, right, bottom = result.region
    frame = np.pad(pixels, ((height, height), (width, width), (0, 0)), mode="edge")
    box = ((1 + left) * width, (1 + top) * height, (1 + right) * width, (1 + bottom) * height)
    return resize(frame, 28, 28, box)[:, :, :1]


@pytest.mark.parametrize("digit", ["2", "7"])
def test_region_says_where_in_the_picture_the_frame_lies(digit: str) -> None:
    pixels = picture(255 * (1 - ink_of(digit)))
    result = prepare(pixels, INK)
    assert likeness(255 - shown_by(result, pixels), result.pixels) > 0.95


@pytest.mark.parametrize(
    ("width", "height", "shown"),
    [
        (40, 40, (20, 12)),
        (80, 40, (17, 20)),
        (30, 40, (20, 12)),
        (20, 40, (20, 10)),
        (8, 40, (20, 4)),
    ],
)
def test_wide_ink_is_narrowed_and_narrow_ink_is_not(
    width: int, height: int, shown: tuple[int, int]
) -> None:
    block = np.zeros((60, 100, 1), np.uint8)
    block[10 : 10 + height, 10 : 10 + width] = 255
    narrowed = Preprocessing(height_px=28, width_px=28, color="grey", ink=True, widest_ink=0.6)
    result = prepare(block, narrowed)
    assert extent(result.pixels[:, :, 0]) == shown
    left, top, right, bottom = result.region
    down, across = mass_center(result.pixels[:, :, 0])
    assert left + (across + 0.5) / 28 * (right - left) == pytest.approx(
        (10 + width / 2) / 100, abs=0.02
    )
    assert top + (down + 0.5) / 28 * (bottom - top) == pytest.approx(
        (10 + height / 2) / 60, abs=0.02
    )


def test_color_input_repeats_the_ink() -> None:
    pixels = picture(255 * (1 - ink_of("2")))
    rgb = prepare(pixels, Preprocessing(height_px=28, width_px=28, ink=True)).pixels
    assert (rgb == prepare(pixels, INK).pixels).all()


@pytest.mark.parametrize(("height_px", "width_px"), [(1, 1), (5, 40), (64, 64)])
def test_frame_may_have_any_size(height_px: int, width_px: int) -> None:
    preprocessing = Preprocessing(height_px=height_px, width_px=width_px, color="grey", ink=True)
    pixels = prepare(picture(255 * (1 - ink_of("2"))), preprocessing).pixels
    assert pixels.shape == (height_px, width_px, 1)
    assert pixels.any()


# Connected parts


def test_parts_hang_together_by_sides_and_corners() -> None:
    mask = np.array(
        [
            [1, 0, 0, 0, 1],
            [0, 1, 0, 0, 1],
            [0, 0, 0, 0, 0],
            [1, 0, 1, 0, 1],
            [1, 1, 1, 0, 0],
        ],
        bool,
    )
    parts = connected_parts(mask)
    assert (parts > 0).tolist() == mask.tolist()
    assert parts[0, 0] == parts[1, 1]
    assert parts[3, 0] == parts[3, 2] == parts[4, 1]
    assert len(np.unique(parts)) == 5


def test_spiral_is_one_part() -> None:
    mask = np.zeros((9, 9), bool)
    mask[0] = mask[:, 8] = mask[8] = mask[2:, 0] = mask[2, :7] = mask[2:7, 6] = True
    assert connected_parts(mask).max() == 1


def test_empty_mask_has_no_parts() -> None:
    assert not connected_parts(np.zeros((3, 4), bool)).any()
