"""A network that sees both ways round: one answer for a picture and its mirror image."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from ml.architectures import build_network
from ml.architectures.mirror import mirror_averaged
from ml.config import TrainingConfig
from ml.export import export_litert
from ml.training import train
from tests.ml.training_pictures import LABELS, colored_pictures, training_data

SIDE_PX = 16


@pytest.fixture(scope="module")
def one_way() -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_network("residual_cnn", (SIDE_PX, SIDE_PX, 3), len(LABELS), "none")


def test_a_picture_and_its_mirror_image_have_one_answer(one_way: keras.Model) -> None:
    pictures, _ = colored_pictures(4, SIDE_PX)
    both = mirror_averaged(one_way)
    seen, mirrored = (np.asarray(both(x, training=False)) for x in (pictures, pictures[:, :, ::-1]))
    np.testing.assert_allclose(seen, mirrored, atol=1e-5)
    each = [np.asarray(one_way(x, training=False)) for x in (pictures, pictures[:, :, ::-1])]
    assert not np.allclose(*each, atol=1e-3)
    np.testing.assert_allclose(seen, (each[0] + each[1]) / 2, atol=1e-5)


def test_the_map_of_a_mirror_image_is_the_mirrored_map(one_way: keras.Model) -> None:
    pictures, _ = colored_pictures(1, SIDE_PX)
    features = mirror_averaged(one_way).get_layer("features")
    seen, mirrored = (
        np.asarray(features(x, training=False)) for x in (pictures, pictures[:, :, ::-1])
    )
    np.testing.assert_allclose(seen, mirrored[:, :, ::-1], atol=1e-5)
    assert not np.allclose(seen, mirrored, atol=1e-3)


def test_it_has_the_weights_of_the_network_and_is_served_with_them(one_way: keras.Model) -> None:
    both = mirror_averaged(one_way)
    for ours, theirs in zip(both.get_weights(), one_way.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert len(export_litert(both)) < 1.05 * len(export_litert(one_way))


def test_a_training_ends_with_it_where_its_config_says_so(tmp_path: Path) -> None:
    config = TrainingConfig(
        architecture="cnn", weights="none", epochs=1, batch_size=8, seed=7, augmentation="none"
    )
    data = training_data(4, SIDE_PX)
    one_way, both = (
        train(data, one, workspace=tmp_path / name, progress=False).network
        for name, one in (("one", config), ("both", replace(config, mirror_averaged=True)))
    )
    seen, mirrored = (
        np.asarray(both(x, training=False)) for x in (data.train, data.train[:, :, ::-1])
    )
    np.testing.assert_allclose(seen, mirrored, atol=1e-5)
    for ours, theirs in zip(both.get_weights(), one_way.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
