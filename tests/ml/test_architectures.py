"""The contract that every architecture keeps."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from ml.architectures import ARCHITECTURES, build_network
from ml.architectures.weights import parse_weights
from ml.errors import TrainingError
from ml.export import SIGNATURE, export_litert, round_to_float16
from ml.training import TrainingConfig, train
from tests.ml.training_pictures import LABELS, colored_pictures, training_data

SIDE_PX = 32


def softmax(logits: Any) -> Any:
    return np.asarray(tf.nn.softmax(logits))


SLOW_TO_EXPORT = {"mobilenet_v2"}  # a minute of converting; `make test-server` runs it


def _as_parameter(name: str) -> Any:
    return pytest.param(name, marks=[pytest.mark.slow] if name in SLOW_TO_EXPORT else [])


@pytest.fixture(scope="module", params=[_as_parameter(name) for name in sorted(ARCHITECTURES)])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Each architecture, trained by its own recipe on three colours.

    A backbone begins with a file of weights nobody trained; only its head is trained here.
    """
    name, workspace = request.param, tmp_path_factory.mktemp(request.param)
    weights = "none"
    if ARCHITECTURES[name].recipe == "transfer":
        weights = str(workspace / "backbone.weights.h5")
        network = build_network(name, (SIDE_PX, SIDE_PX, 3), len(LABELS), "none")
        network.get_layer("features").get_layer("backbone").save_weights(weights)
    config = TrainingConfig(
        architecture=name,
        weights=weights,
        epochs=0 if weights != "none" else 2,
        batch_size=8,
        seed=3,
        augmentation="photos",
    )
    return train(training_data(24, SIDE_PX), config, workspace=workspace, progress=False)


def test_training_makes_the_loss_smaller(trained: Any) -> None:
    first, last = trained.history[0], trained.history[-1]
    assert last["loss"] < first["loss"]
    assert last["val_accuracy"] > 1 / len(LABELS)


def test_network_gives_one_logit_for_each_class(trained: Any) -> None:
    pictures, _ = colored_pictures(2, SIDE_PX)
    logits = np.asarray(trained.network(pictures, training=False))
    assert logits.shape == (6, len(LABELS))
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


def test_every_parameter_receives_a_gradient(trained: Any) -> None:
    pictures, truth = colored_pictures(8, SIDE_PX)
    with tf.GradientTape() as tape:
        logits = trained.network(pictures, training=True)
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(truth, logits))
    variables = trained.network.trainable_variables
    gradients = tape.gradient(loss, [variable.value for variable in variables])
    without = [
        variable.path
        for variable, gradient in zip(variables, gradients, strict=True)
        if gradient is None
    ]
    assert without == []


def test_keras_and_litert_agree_and_give_three_outputs(trained: Any) -> None:
    round_to_float16(trained.network)
    interpreter = Interpreter(model_content=export_litert(trained.network))
    serve = interpreter.get_signature_runner(SIGNATURE)
    pictures, _ = colored_pictures(3, SIDE_PX, seed=5)
    for picture in pictures:
        outputs = serve(image=picture[np.newaxis])
        logits = np.asarray(trained.network(picture[np.newaxis], training=False))
        np.testing.assert_allclose(softmax(outputs["logits"]), softmax(logits), atol=1e-3)
    assert outputs["embedding"].ndim == 2
    assert outputs["activation"].ndim == 4
    assert outputs["activation"].shape[-1] == len(LABELS)


def test_keras_file_holds_the_whole_network(trained: Any, tmp_path: Path) -> None:
    trained.network.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    pictures, _ = colored_pictures(2, SIDE_PX)
    np.testing.assert_allclose(
        restored(pictures, training=False), trained.network(pictures, training=False), atol=1e-5
    )


def test_cnn_takes_grey_and_odd_sizes() -> None:
    network = build_network("cnn", (30, 45, 1), 4, "none")
    assert network(np.zeros((1, 30, 45, 1), np.uint8)).shape == (1, 4)


def test_cnn_has_the_documented_number_of_parameters() -> None:
    assert build_network("cnn", (28, 28, 1), 10, "none").count_params() == 64_194


@pytest.mark.parametrize(
    ("architecture", "shape", "code"),
    [
        ("resnet_9000", (32, 32, 3), "unknown_architecture"),
        ("cnn", (8, 8, 3), "bad_image_size"),
        ("mobilenet_v2", (16, 16, 3), "bad_image_size"),
        ("mobilenet_v3_small", (64, 64, 1), "bad_color"),
    ],
)
def test_what_a_family_cannot_take_is_refused(
    architecture: str, shape: tuple[int, int, int], code: str
) -> None:
    with pytest.raises(TrainingError) as refusal:
        build_network(architecture, shape, 3, "none")
    assert refusal.value.code == code


def test_cnn_refuses_weights() -> None:
    with pytest.raises(TrainingError, match="from scratch"):
        build_network("cnn", (32, 32, 3), 3, "imagenet")


@pytest.mark.parametrize("text", ["no-such.weights.h5", "imagnet", "/"])
def test_unknown_weights_are_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(TrainingError, match=r"imagenet.*none.*weights\.h5"):
        parse_weights(text)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.weights.h5"
    build_network("cnn", (32, 32, 3), 3, "none").save_weights(path)
    with pytest.raises(TrainingError, match="do not fit") as refusal:
        build_network("mobilenet_v3_small", (32, 32, 3), 3, path)
    assert refusal.value.code == "bad_weights"
