"""Moving training pictures: what changes, and what must not."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.augmentation import (
    AUGMENTATIONS,
    NO_AUGMENTATION,
    PHOTOS,
    Augmentation,
    augment,
    augmentation_named,
    mirror_changes_meaning,
)
from tests.ml.training_pictures import colored_pictures

KEY = tf.constant([3, 9], tf.int64)


def test_no_augmentation_changes_nothing() -> None:
    pictures, _ = colored_pictures(4, 17)
    moved = augment(tf.constant(pictures), NO_AUGMENTATION, tf.constant([0, 0], tf.int64))
    np.testing.assert_array_equal(moved, pictures)


def test_mirror_alone_gives_the_picture_or_its_mirror_image() -> None:
    pictures, _ = colored_pictures(8, 16)
    moved = augment(
        tf.constant(pictures), Augmentation(mirror=True), tf.constant([1, 2], tf.int64)
    ).numpy()
    kept = (moved == pictures).all(axis=(1, 2, 3))
    mirrored = (moved == pictures[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (kept | mirrored).all()
    assert kept.any()
    assert mirrored.any()


@settings(max_examples=20, deadline=None)
@given(
    st.builds(
        Augmentation,
        rotation_rad=st.floats(0, 1),
        shear_rad=st.floats(0, 0.5),
        zoom=st.floats(0, 0.5),
        shift=st.floats(0, 0.5),
        crop=st.floats(0.1, 1),
        mirror=st.booleans(),
        thickness=st.floats(0, 1),
        fill=st.floats(0, 1),
    ),
    st.integers(0, 2**40),
)
def test_moving_a_picture_of_one_colour_leaves_it_so(augmentation: Augmentation, key: int) -> None:
    plain = np.full((3, 12, 20, 3), (10, 128, 250), np.uint8)
    moved = augment(tf.constant(plain), augmentation, tf.constant([key, 1], tf.int64))
    np.testing.assert_array_equal(moved, plain)


def test_strokes_grow_and_shrink_and_keep_their_middle() -> None:
    stroke = np.zeros((32, 15, 15, 1), np.uint8)
    stroke[:, :, 6:9] = 250
    moved = augment(tf.constant(stroke), Augmentation(thickness=1.0), KEY).numpy()
    ink = moved[:, 7, :, 0].astype(float).sum(axis=1) / 250
    assert ink.min() < 2.5
    assert ink.max() > 3.5
    assert (ink > 1).all()
    assert (ink < 5).all()
    np.testing.assert_array_equal(moved[:, 7, 7, 0], 250)


def test_narrow_drawings_are_widened_up_to_their_height_and_none_is_cut() -> None:
    stroke = np.zeros((64, 28, 28, 1), np.uint8)
    stroke[:, 4:24, 9:19] = 250  # half as wide as high
    moved = augment(tf.constant(stroke), Augmentation(fill=1.0), KEY).numpy()
    widths = (moved[:, 14, :, 0] > 125).sum(axis=1)
    heights = (moved[:, :, 14, 0] > 125).sum(axis=1)
    assert widths.min() in (10, 11)
    assert widths.max() in (18, 19, 20)
    assert 0.3 < np.mean(widths < 15) < 0.7
    np.testing.assert_array_equal(heights, 20)


def test_a_crop_shows_parts_of_at_least_the_given_area_wherever_they_lie() -> None:
    ramp = np.arange(64, dtype=np.uint8) * 4
    across = np.broadcast_to(ramp[:, None], (256, 64, 64, 1))
    down = np.broadcast_to(ramp[:, None, None], (256, 64, 64, 1))
    moved = [
        augment(tf.constant(ramps), Augmentation(crop=0.25), KEY).numpy()
        for ramps in (across, down)
    ]
    pictures = [values[..., 0].astype(float) / 4 for values in moved]
    left, right = pictures[0][:, 0, 0], pictures[0][:, 0, -1]
    top, bottom = pictures[1][:, 0, 0], pictures[1][:, -1, 0]
    areas = (right - left) * (bottom - top) / 63**2
    assert 0.2 < areas.min() < 0.35
    assert areas.max() > 0.9
    assert left.max() > 15
    assert right.min() < 48


def test_contrast_and_saturation_change_what_they_say_alone() -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(60, 190, (16, 12, 12, 3), dtype=np.uint8)
    luma = np.array([0.299, 0.587, 0.114])
    before = pictures.astype(float)
    contrast = augment(tf.constant(pictures), Augmentation(contrast=0.3), KEY).numpy().astype(float)
    spreads = contrast.std(axis=(1, 2, 3)) / before.std(axis=(1, 2, 3))
    assert spreads.min() < 0.85
    assert spreads.max() > 1.15
    np.testing.assert_allclose((contrast @ luma).mean((1, 2)), (before @ luma).mean((1, 2)), atol=1)
    colours = (
        augment(tf.constant(pictures), Augmentation(saturation=0.3), KEY).numpy().astype(float)
    )
    assert np.abs(colours - before).max() > 5
    np.testing.assert_allclose(colours @ luma, before @ luma, atol=1)


@pytest.mark.parametrize(
    ("labels", "changes"),
    [
        (("0", "1", "17"), True),
        (("A", "b", "ß"), True),
        (("turn left", "turn-right"), True),
        (("ants", "bees"), False),
        (("bright", "cleft"), False),
        (("7", "seven"), False),
    ],
)
def test_signs_and_sides_are_never_mirrored(labels: tuple[str, ...], *, changes: bool) -> None:
    assert mirror_changes_meaning(labels) is changes
    assert augmentation_named("photos", mirror=not changes).mirror is not changes


def test_drawings_are_never_mirrored() -> None:
    assert not any(a.mirror for name, a in AUGMENTATIONS.items() if name.startswith("drawings"))
    assert PHOTOS.mirror


def test_smaller_pictures_show_the_same_part() -> None:
    ramp = np.broadcast_to(np.arange(60, dtype=np.uint8)[:, None] * 4, (8, 60, 60, 1))
    both = ramp.copy(), ramp.transpose(0, 2, 1, 3).copy()
    for pictures in both:
        chosen = Augmentation(rotation_rad=0.2, crop=0.5)
        whole = augment(tf.constant(pictures), chosen, KEY).numpy().astype(float)
        half = augment(tf.constant(pictures), chosen, KEY, side_px=30).numpy()
        assert half.shape == (8, 30, 30, 1)
        means = whole.reshape(8, 30, 2, 30, 2).mean(axis=(2, 4))
        np.testing.assert_allclose(half[..., 0], means, atol=2)
