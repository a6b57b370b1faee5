"""Multiply-adds against counts by hand; time as a positive number of milliseconds."""

from pathlib import Path

import keras
import pytest

from ml.artifact import ArtifactMetadata
from ml.cost import count_macs, ms_an_image
from ml.inference import Classifier
from ml.preprocessing import Preprocessing
from tests.networks import COLOR_LABELS, COLOR_WEIGHTS, color_network

SHAPE = (8, 6, 3)


def network_of(*layers: keras.layers.Layer) -> keras.Model:
    picture = keras.Input(SHAPE, dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(picture)
    for layer in layers:
        x = layer(x)
    return keras.Model(picture, x)


def attention() -> keras.Model:
    picture = keras.Input(SHAPE, dtype="uint8")
    x = keras.layers.Reshape((48, 3))(keras.layers.Rescaling(1 / 255)(picture))
    return keras.Model(picture, keras.layers.MultiHeadAttention(2, 5)(x, x))


@pytest.mark.parametrize(
    ("network", "macs"),
    [
        (network_of(keras.layers.Flatten(), keras.layers.Dense(7)), 8 * 6 * 3 * 7),
        (network_of(keras.layers.Conv2D(4, 3, padding="same")), 8 * 6 * 4 * 3 * 3 * 3),
        (network_of(keras.layers.Conv2D(4, 3, strides=2)), 3 * 2 * 4 * 3 * 3 * 3),
        (network_of(keras.layers.DepthwiseConv2D(3, padding="same")), 8 * 6 * 3 * 3 * 3),
        # Three projections to 2 heads of 5, scores and sums over 48 places, one projection back.
        (attention(), 3 * 48 * 3 * 10 + 2 * 2 * 48 * 48 * 5 + 48 * 10 * 3),
        (network_of(keras.layers.GlobalAveragePooling2D(), keras.layers.ReLU()), 0),
    ],
    ids=["dense", "convolution", "strided", "depthwise", "attention", "none"],
)
def test_multiply_adds_are_those_counted_by_hand(network: keras.Model, macs: int) -> None:
    assert count_macs(network, SHAPE) == macs


def test_parts_inside_parts_are_counted() -> None:
    inner = keras.Sequential([keras.Input((8, 6, 3)), keras.layers.Conv2D(4, 1)], name="features")

    assert count_macs(network_of(inner, keras.layers.Flatten()), SHAPE) == 8 * 6 * 3 * 4


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    path = tmp_path / "model.tflite"
    path.write_bytes(color_network(COLOR_WEIGHTS, size_px=16))
    metadata = ArtifactMetadata(
        name="Colours", labels=COLOR_LABELS, architecture="colors", parameters=1, config={},
        preprocessing=Preprocessing(height_px=16, width_px=16), temperature=1.0, dataset={},
        libraries={}, created_at="2026-11-22T00:00:00+00:00", files={},
    )  # fmt: skip
    return Classifier(metadata, path)


def test_time_is_measured_on_the_served_network(classifier: Classifier) -> None:
    assert 0 < ms_an_image(classifier, n=5) < 1000


def test_no_runs_are_refused(classifier: Classifier) -> None:
    with pytest.raises(ValueError, match="at least 1, received 0"):
        ms_an_image(classifier, n=0)
