"""Mixing training pictures: what changes, and what must not."""

import numpy as np
import pytest
import tensorflow as tf

from ml.mixing import mix_pictures
from tests.ml.training_pictures import colored_pictures

KEY = tf.constant([3, 9], tf.int64)


def test_both_mixes_take_turns_and_some_batches_stay() -> None:
    pictures, truth = colored_pictures(6, 8)
    shares = np.eye(3, dtype=np.float32)[truth]
    kinds = set()
    for key in range(40):
        mixed, labels, _ = mix_pictures(
            tf.constant(pictures), shares, np.ones(len(truth), np.float32), "both",
            tf.constant([key, 1], tf.int64),
        )  # fmt: skip
        np.testing.assert_allclose(labels.numpy().sum(axis=1), 1, rtol=1e-6)
        known = (mixed.numpy()[:, None] == pictures[None]).all(axis=-1).any(axis=1)
        if (mixed.numpy() == pictures).all():
            kinds.add("none")
        else:
            kinds.add("cutmix" if known.all() else "mixup")
    assert kinds == {"none", "cutmix", "mixup"}


def test_mixing_nothing_changes_nothing() -> None:
    pictures, truth = colored_pictures(4, 8)
    shares, weights = np.eye(3, dtype=np.float32)[truth], np.ones(len(truth), np.float32)
    mixed = mix_pictures(tf.constant(pictures), shares, weights, "none", KEY)
    for before, after in zip((pictures, shares, weights), mixed, strict=True):
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("key", range(5))
def test_mixup_blends_pictures_and_labels_in_the_same_shares(key: int) -> None:
    levels = np.array([0, 100, 200], np.uint8)
    pictures = np.broadcast_to(levels[:, None, None, None], (3, 6, 6, 1)).copy()
    shares = np.eye(3, dtype=np.float32)
    images, truth, _ = mix_pictures(
        tf.constant(pictures), shares, np.ones(3, np.float32), "mixup", tf.constant([key, 1])
    )
    np.testing.assert_allclose(truth.numpy().sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(
        images.numpy()[:, 0, 0, 0], truth.numpy() @ levels.astype(np.float32), atol=0.51
    )


@pytest.mark.parametrize("key", range(5))
def test_cutmix_shares_are_the_areas_of_the_two_pictures(key: int) -> None:
    levels = np.array([0, 100, 200], np.uint8)
    pictures = np.broadcast_to(levels[:, None, None, None], (3, 10, 14, 1)).copy()
    images, truth, _ = mix_pictures(
        tf.constant(pictures),
        np.eye(3, dtype=np.float32),
        np.ones(3, np.float32),
        "cutmix",
        tf.constant([key, 1]),
    )
    for picture, shares in zip(images.numpy(), truth.numpy(), strict=True):
        for level, share in zip(levels, shares, strict=True):
            assert np.mean(picture == level) == pytest.approx(share, abs=1e-6)


def test_a_mix_depends_on_its_key_alone() -> None:
    pictures, truth = colored_pictures(4, 8)
    shares, weights = np.eye(3, dtype=np.float32)[truth], np.ones(len(truth), np.float32)
    first, second = (
        mix_pictures(tf.constant(pictures), shares, weights, "cutmix", KEY) for _ in range(2)
    )
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
