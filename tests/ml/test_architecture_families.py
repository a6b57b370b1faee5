"""What is particular to each family: sizes, options, refusals, and the mathematics of each."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.architectures import ARCHITECTURES, NetworkOptions, build_network, nearest_neighbours
from ml.architectures.pixels import overlaps, size_within
from ml.architectures.spatial_transformer import AffineSampler
from ml.architectures.weights import parse_weights
from ml.errors import TrainingError
from ml.export import check_exportable

GREY, COLOR = (28, 28, 1), (160, 160, 3)
SMALL = (32, 32, 3)
PARAMETERS: dict[str, tuple[int | None, int]] = {
    "nearest_neighbours": (7_870, 12_030),
    "linear": (7_850, 12_010),
    "perceptron": (7_850, 12_010),
    "mlp": (538_122, 1_709_578),
    "cnn": (66_730, 1_585_002),
    "residual_cnn": (1_253_834, 1_263_754),
    "spatial_transformer": (89_568, 1_615_808),
    "recurrent": (161_034, 187_146),
    "attention": (330_346, 477_898),
    "pp_lcnet": (None, 1_695_274),
    "mobilenet_v1": (None, 221_626),
    "mobilenet_v2": (None, 2_273_354),
    "mobilenet_v3_small": (None, 946_042),
    "mobilenet_v3_large": (None, 3_007_882),
    "efficientnet_v2_b0": (None, 5_934_682),
}
IDENTITY = np.array([1, 0, 0, 0, 1, 0], np.float32)


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_number_of_parameters_is_the_documented_one(name: str) -> None:
    grey, color = PARAMETERS[name]
    assert build_network(name, COLOR, 10, "none").count_params() == color
    if grey is None:
        with pytest.raises(TrainingError, match=r"colour pictures|at least 32 px"):
            build_network(name, GREY, 10, "none")
    else:
        assert build_network(name, GREY, 10, "none").count_params() == grey


@pytest.mark.parametrize(
    ("architecture", "shape", "code"),
    [
        ("resnet_9000", SMALL, "unknown_architecture"),
        ("cnn", (8, 8, 3), "bad_image_size"),
        ("residual_cnn", (15, 40, 3), "bad_image_size"),
        ("spatial_transformer", (40, 15, 1), "bad_image_size"),
        ("attention", (12, 12, 1), "bad_image_size"),
        ("pp_lcnet", (28, 28, 1), "bad_image_size"),
        ("mobilenet_v2", (16, 16, 3), "bad_image_size"),
        ("mobilenet_v1", (64, 64, 1), "bad_color"),
        ("mobilenet_v3_small", (64, 64, 1), "bad_color"),
        ("efficientnet_v2_b0", (64, 64, 1), "bad_color"),
    ],
)
def test_what_a_family_cannot_take_is_refused(
    architecture: str, shape: tuple[int, int, int], code: str
) -> None:
    with pytest.raises(TrainingError) as refusal:
        build_network(architecture, shape, 3, "none")
    assert refusal.value.code == code


@pytest.mark.parametrize(
    "name", [name for name, family in ARCHITECTURES.items() if family.recipe != "transfer"]
)
def test_family_without_published_weights_refuses_them(name: str) -> None:
    with pytest.raises(TrainingError, match=f"{name} is trained from scratch.*imagenet") as refusal:
        build_network(name, SMALL, 3, "imagenet")
    assert refusal.value.code == "bad_weights"


@pytest.mark.parametrize("name", sorted(ARCHITECTURES))
def test_option_of_another_family_is_refused_with_what_is_allowed(name: str) -> None:
    taken = ARCHITECTURES[name].options
    stranger = (
        NetworkOptions(neighbours=3) if "neighbours" not in taken else NetworkOptions(depth=3)
    )
    with pytest.raises(TrainingError, match=rf"Allowed: {', '.join(sorted(taken))}") as refusal:
        build_network(name, SMALL, 3, "none", stranger)
    assert refusal.value.code == "unknown_option"


@pytest.mark.parametrize("name", ["cnn", "residual_cnn", "recurrent", "attention"])
def test_deeper_and_wider_networks_have_more_parameters(name: str) -> None:
    def parameters(depth: int, width: int) -> int:
        options = NetworkOptions(depth=depth, width=width)
        return int(build_network(name, (16, 16, 1), 3, "none", options).count_params())

    assert parameters(2, 8) < parameters(3, 8) < parameters(3, 16)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 7, 16])
def test_depth_of_the_convolutional_network_counts_its_convolutions(depth: int) -> None:
    network = build_network("cnn", GREY, 10, "none", NetworkOptions(depth=depth, width=4))
    layers = network.get_layer("features").layers
    assert sum(isinstance(layer, keras.layers.Conv2D) for layer in layers) == depth


@pytest.mark.parametrize("name", ["cnn", "mlp", "attention", "residual_cnn", "recurrent"])
def test_dropout_changes_training_but_not_answers(name: str) -> None:
    options = NetworkOptions(dropout=0.5)
    network = build_network(name, (16, 16, 1), 3, "none", options)
    pictures = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 1), dtype=np.uint8)
    np.testing.assert_array_equal(
        network(pictures, training=False), network(pictures, training=False)
    )
    head = network.get_layer("head")
    rates = [layer.rate for layer in head.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.5]


def test_multi_layer_perceptron_has_the_layers_and_activation_asked_for() -> None:
    keras.utils.set_random_seed(0)  # by chance all three units may be above 0
    options = NetworkOptions(layers=(7, 5, 3), activation="tanh", dropout=0.0)
    network = build_network("mlp", GREY, 10, "none", options)
    units = [layer.units for layer in network.layers if isinstance(layer, keras.layers.Dense)]
    assert units == [7, 5, 3]
    embedding = keras.Model(network.input, network.get_layer("embedding").output)
    pictures = np.random.default_rng(0).integers(0, 256, (4, *GREY), dtype=np.uint8)
    values = np.asarray(embedding(pictures, training=False))
    assert values.min() < 0
    assert np.abs(values).max() <= 1


@pytest.mark.parametrize(("activation", "low", "high"), [("sigmoid", 0, 10), ("tanh", -5, 5)])
def test_units_of_the_perceptron_span_ten_logits(activation: Any, low: int, high: int) -> None:
    options = NetworkOptions(activation=activation)
    network = build_network("perceptron", GREY, 10, "none", options)
    kernel, bias = network.get_weights()
    network.set_weights([kernel * 1e4, bias])
    pictures = np.random.default_rng(0).integers(0, 256, (16, *GREY), dtype=np.uint8)
    logits = np.asarray(network(pictures, training=False))
    assert (logits.min(), logits.max()) == (low, high)


def test_linear_scores_are_a_product_of_weights_and_pixels() -> None:
    network = build_network("linear", GREY, 4, "none")
    kernel, bias = network.get_weights()
    picture = np.random.default_rng(0).integers(0, 256, (1, *GREY), dtype=np.uint8)
    expected = picture.reshape(1, -1) / 255 @ kernel + bias
    np.testing.assert_allclose(network(picture, training=False), expected, atol=1e-5)


# Nearest neighbours.


def _noise(n: int, side_px: int = 8, seed: int = 0) -> npt.NDArray[np.uint8]:
    shape = (n, side_px, side_px, 1)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_nearest_pictures_are_those_that_numpy_finds(distance: Any) -> None:
    pictures, asked = _noise(300), _noise(20, seed=1)
    truth = np.random.default_rng(2).integers(0, 3, 300).astype(np.int32)
    network = nearest_neighbours.memorise(
        pictures, truth, 3, NetworkOptions(neighbours=1, distance=distance)
    )
    rows, queries = pictures.reshape(300, -1) / 255, asked.reshape(20, -1) / 255
    difference = queries[:, np.newaxis] - rows
    far = np.abs(difference) if distance == "l1" else np.square(difference)
    expected = truth[far.sum(axis=2).argmin(axis=1)]
    np.testing.assert_array_equal(np.argmax(network(asked, training=False), axis=1), expected)


def test_votes_are_shares_and_the_nearer_weigh_more() -> None:
    levels = np.array([100, 110, 140], np.uint8)
    pictures = np.broadcast_to(levels[:, None, None, None], (3, 8, 8, 1))
    network = nearest_neighbours.memorise(
        pictures, np.array([0, 1, 1], np.int32), 3, NetworkOptions(neighbours=3)
    )
    shares = np.exp(np.asarray(network(np.full((1, 8, 8, 1), 101, np.uint8), training=False)))[0]
    assert shares.sum() == pytest.approx(1)
    assert shares[0] > shares[1] > shares[2] > 0


def test_picture_that_is_remembered_is_recognized_and_stays_finite() -> None:
    pictures = _noise(40)
    truth = np.arange(40, dtype=np.int32) % 4
    network = nearest_neighbours.memorise(pictures, truth, 4, NetworkOptions())
    logits = np.asarray(network(pictures, training=False))
    assert np.isfinite(logits).all()
    np.testing.assert_array_equal(logits.argmax(axis=1), truth)


def test_more_pictures_are_remembered_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(nearest_neighbours.MOST_REMEMBERED, "l2", 100 * 64)
    network = nearest_neighbours.memorise(
        _noise(100, side_px=16), np.zeros(100, np.int32), 2, NetworkOptions()
    )
    assert network.get_layer("embedding").output.shape == (None, 64)


def test_too_many_pictures_leave_an_even_share_of_each_class(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(nearest_neighbours.MOST_REMEMBERED, "l2", 50 * 64)
    truth = np.repeat(np.arange(2, dtype=np.int32), (80, 20))
    network = nearest_neighbours.memorise(_noise(100), truth, 2, NetworkOptions())
    remembered = np.asarray(network.get_layer("head").get_layer("logits").truth)
    np.testing.assert_array_equal(np.bincount(remembered), [40, 10])


# Pixels and sampling.


@given(st.integers(1, 60), st.data())
def test_averaging_down_counts_every_pixel_alike(before: int, data: st.DataObject) -> None:
    after = data.draw(st.integers(1, before))
    weights = overlaps(before, after)
    np.testing.assert_allclose(weights.sum(axis=0), 1, atol=2e-3)
    np.testing.assert_allclose(weights.sum(axis=1), after / before, rtol=2e-3)


@settings(max_examples=50)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([1, 3]))
def test_averaged_pictures_keep_within_the_numbers_allowed(
    height: int, width: int, channels: int
) -> None:
    small_height, small_width = size_within((height, width, channels), 1280)
    assert small_height * small_width * channels <= 1280
    assert small_height <= height
    assert small_width <= width


def _sampled(pictures: npt.NDArray[Any], *maps: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.asarray(AffineSampler()([pictures.astype(np.float32), np.stack(maps)]))


def test_spatial_transformer_begins_with_the_picture_as_it_is() -> None:
    network = build_network("spatial_transformer", (20, 30, 3), 3, "none")
    pictures = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    straightened = keras.Model(network.input, network.get_layer("sampler").output)
    np.testing.assert_allclose(
        straightened(pictures, training=False), pictures / 127.5 - 1, atol=1e-5
    )


def test_sampler_mirrors_shifts_and_turns_each_picture_by_its_own_map() -> None:
    pictures = np.random.default_rng(0).random((4, 9, 9, 2))
    mirrored, shifted, turned = IDENTITY.copy(), IDENTITY.copy(), np.zeros(6, np.float32)
    mirrored[0] = -1
    shifted[2] = 2 * 2 / (9 - 1)  # two pixels to the right
    turned[1], turned[3] = 1, 1  # x and y change places
    sampled = _sampled(pictures, IDENTITY, mirrored, shifted, turned)
    np.testing.assert_allclose(sampled[0], pictures[0], atol=1e-6)
    np.testing.assert_allclose(sampled[1], pictures[1, :, ::-1], atol=1e-6)
    np.testing.assert_allclose(sampled[2, :, :-2], pictures[2, :, 2:], atol=1e-6)
    np.testing.assert_allclose(sampled[2, :, -1], pictures[2, :, -1], atol=1e-6)
    np.testing.assert_allclose(sampled[3], pictures[3].transpose(1, 0, 2), atol=1e-6)


def test_sampler_weighs_neighbouring_pixels_by_their_nearness() -> None:
    ramp = np.broadcast_to(np.arange(5.0)[None, None, :, None], (1, 5, 5, 1))
    quarter = IDENTITY.copy()
    quarter[2] = 0.25 * 2 / (5 - 1)
    np.testing.assert_allclose(
        _sampled(ramp, quarter)[0, 2, :, 0], [0.25, 1.25, 2.25, 3.25, 4], atol=1e-6
    )


def test_a_backbone_without_weights_soon_knows_the_statistics_of_its_batches() -> None:
    keras.utils.set_random_seed(0)
    features = build_network("mobilenet_v1", (32, 32, 3), 3, "none").get_layer("features")
    pictures = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), dtype=np.uint8)
    learn = tf.function(lambda: features(pictures, training=True))
    for _ in range(200):  # of 600 that a few hundred photographs make
        by_the_batch = np.asarray(learn())
    by_what_runs = np.asarray(features(pictures, training=False))
    missed = np.linalg.norm(by_what_runs - by_the_batch) / np.linalg.norm(by_the_batch)
    assert missed < 0.3


# Before training, and weights.


def test_network_too_large_to_serve_is_refused_before_training() -> None:
    network = build_network("cnn", (2048, 2048, 1), 3, "none")
    with pytest.raises(TrainingError, match="smaller pictures") as refusal:
        check_exportable(network)
    assert refusal.value.code == "cannot_export"


def test_two_views_at_once_must_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ml.export.export_litert", lambda network: b"")
    network = build_network("residual_cnn", (1200, 1200, 3), 3, "none")
    check_exportable(network)
    with pytest.raises(TrainingError, match="smaller pictures"):
        check_exportable(network, views=2)


def test_network_that_litert_cannot_run_is_refused_before_training() -> None:
    image = keras.Input((4, 4, 1), dtype="uint8", name="image")
    square = keras.layers.Reshape((4, 4))(keras.layers.Rescaling(1.0)(image))
    vector = keras.layers.Flatten(name="embedding")(keras.layers.Lambda(keras.ops.inv)(square))
    head = keras.Sequential([keras.Input((16,)), keras.layers.Dense(2)], name="head")
    with pytest.raises(TrainingError, match="LiteRT cannot run") as refusal:
        check_exportable(keras.Model(image, head(vector), name="inverse"))
    assert refusal.value.code == "cannot_export"


def test_network_that_can_be_served_passes() -> None:
    check_exportable(build_network("linear", GREY, 10, "none"))


@pytest.mark.parametrize("text", ["no-such.weights.h5", "imagnet", "/"])
def test_unknown_weights_are_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(TrainingError, match=r"imagenet.*none.*weights\.h5"):
        parse_weights(text)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.weights.h5"
    build_network("cnn", SMALL, 3, "none").save_weights(path)
    with pytest.raises(TrainingError, match="do not fit") as refusal:
        build_network("mobilenet_v1", SMALL, 3, path)
    assert refusal.value.code == "bad_weights"
