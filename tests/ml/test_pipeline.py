"""Decode once, shuffle and augment repeatably, weigh rare classes up."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ml.augmentation import NO_AUGMENTATION, PHOTOS, Augmentation
from ml.dataset import load_dataset, read_pixels
from ml.errors import ImageError, TrainingError
from ml.picture_caches import caches_with, drop_cache, write_names
from ml.pipeline import (
    KEPT_CACHES,
    cache_pictures,
    class_weights,
    training_batches,
)
from ml.preprocessing import Preprocessing, prepare
from tests.ml.training_pictures import colored_pictures, write_folder

PREPROCESSING = Preprocessing(height_px=24, width_px=24)


def test_cached_pictures_are_what_serving_prepares(tmp_path: Path) -> None:
    dataset = load_dataset(
        [write_folder(tmp_path / "colors", 5)], unpack_dir=tmp_path / "unpacked", progress=False
    )
    cache = cache_pictures(dataset, PREPROCESSING, cache_dir=tmp_path / "cache", progress=False)
    pictures, truth = cache.of(dataset.examples)
    assert pictures.shape == (len(dataset.examples), 24, 24, 3)
    for example, pixels, position in zip(dataset.examples, pictures, truth, strict=True):
        expected = prepare(read_pixels(example), PREPROCESSING).pixels
        np.testing.assert_array_equal(pixels, expected)
        assert dataset.labels[position] == example.label


def test_pictures_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = load_dataset(
        [write_folder(tmp_path / "colors", 5)], unpack_dir=tmp_path / "unpacked", progress=False
    )
    cache_pictures(dataset, PREPROCESSING, cache_dir=tmp_path / "cache", progress=False)

    def refuse(example: object) -> None:
        raise AssertionError("decoded twice")

    monkeypatch.setattr("ml.picture_rows.read_pixels", refuse)
    again = cache_pictures(dataset, PREPROCESSING, cache_dir=tmp_path / "cache", progress=False)
    assert len(again.pictures) == len(dataset.examples)


def test_a_picture_that_changes_or_vanishes_leaves_no_half_cache(tmp_path: Path) -> None:
    dataset = load_dataset(
        [write_folder(tmp_path / "colors", 5)], unpack_dir=tmp_path / "unpacked", progress=False
    )
    dataset.examples[3].path.write_bytes(b"no picture any more")
    with pytest.raises(ImageError):
        cache_pictures(dataset, PREPROCESSING, cache_dir=tmp_path / "cache", progress=False)
    assert list((tmp_path / "cache").iterdir()) == []
    dataset.examples[3].path.unlink()
    with pytest.raises(TrainingError, match="goes on without that one") as refusal:
        cache_pictures(dataset, PREPROCESSING, cache_dir=tmp_path / "cache", progress=False)
    assert refusal.value.code == "data_changed"
    assert list((tmp_path / "cache").iterdir()) == []


def test_old_caches_make_room_for_new_ones(tmp_path: Path) -> None:
    dataset = load_dataset(
        [write_folder(tmp_path / "colors", 5)], unpack_dir=tmp_path / "unpacked", progress=False
    )
    cache_dir = tmp_path / "cache"
    cache_dir.mkdir()
    for age in range(KEPT_CACHES + 2):
        old = cache_dir / f"pictures-{age}.npy"
        old.write_bytes(b"")
        write_names(old, ["a picture"])
        os.utime(old, (age, age))
    cache_pictures(dataset, PREPROCESSING, cache_dir=cache_dir, progress=False)
    assert len(list(cache_dir.glob("*.npy"))) == KEPT_CACHES
    assert len(list(cache_dir.glob("*.names"))) == KEPT_CACHES


def test_a_cache_says_which_pictures_it_holds(tmp_path: Path) -> None:
    dataset = load_dataset(
        [write_folder(tmp_path / "colors", 5)], unpack_dir=tmp_path / "unpacked", progress=False
    )
    cache_dir = tmp_path / "cache"
    cache = cache_pictures(dataset, PREPROCESSING, cache_dir=cache_dir, progress=False)
    some = replace(dataset, examples=dataset.examples[:4])
    cache_pictures(some, PREPROCESSING, cache_dir=cache_dir, progress=False)
    first, last = dataset.examples[0], dataset.examples[-1]
    assert len(caches_with(cache_dir, [first.name])) == 2
    assert caches_with(cache_dir, ["nobody", "colors"]) == []
    (only,) = caches_with(cache_dir, [last.name, "nobody"])

    drop_cache(only)
    assert caches_with(cache_dir, [last.name]) == []
    assert len(list(cache_dir.iterdir())) == 2, "the other and its names"
    assert cache.picture(last).shape == (24, 24, 3), "who has it open goes on reading"


def test_a_cache_that_does_not_say_may_hold_any_picture(tmp_path: Path) -> None:
    (tmp_path / "pictures-old.npy").write_bytes(b"")
    assert caches_with(tmp_path, ["a picture"]) == [tmp_path / "pictures-old.npy"]
    assert caches_with(tmp_path / "nowhere", ["a picture"]) == []


def test_rare_classes_weigh_more_and_the_mean_is_one() -> None:
    truth = np.array([0] * 30 + [1] * 10, np.int32)
    weights = class_weights(truth, 2)
    np.testing.assert_allclose(weights, [2 / 3, 2])
    assert weights[truth].mean() == pytest.approx(1)


def epoch_of(seed: int, epoch: int, augmentation: Augmentation = PHOTOS) -> list[np.ndarray]:
    pictures, truth = colored_pictures(10, 16)
    batches = training_batches(
        pictures, truth, np.ones(3, np.float32), batch_size=7, augmentation=augmentation,
        seed=seed, epoch=epoch,
    )  # fmt: skip
    return [images.numpy() for images, _, _ in batches]


def test_an_epoch_depends_on_seed_and_number_alone() -> None:
    first, again, other = epoch_of(1, 0), epoch_of(1, 0), epoch_of(1, 1)
    np.testing.assert_array_equal(np.stack(first), np.stack(again))
    assert not np.array_equal(np.stack(first), np.stack(other))


def test_an_epoch_without_augmentation_is_the_pictures_themselves() -> None:
    pictures, _ = colored_pictures(10, 16)
    known = {picture.tobytes() for picture in pictures}
    seen = {picture.tobytes() for batch in epoch_of(1, 0, NO_AUGMENTATION) for picture in batch}
    assert seen <= known
    assert len(seen) == 28  # four whole batches of seven


def test_truth_and_weights_travel_with_their_picture() -> None:
    pictures, truth = colored_pictures(10, 16)
    by_bytes = {picture.tobytes(): int(t) for picture, t in zip(pictures, truth, strict=True)}
    weights = np.array([1, 2, 3], np.float32)
    for images, one_hot, weight in training_batches(
        pictures, truth, weights, batch_size=5, augmentation=NO_AUGMENTATION, seed=0, epoch=0
    ):
        expected = [by_bytes[image.tobytes()] for image in images.numpy()]
        assert one_hot.numpy().argmax(axis=1).tolist() == expected
        assert weight.numpy().tolist() == weights[expected].tolist()
