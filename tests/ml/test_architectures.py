"""The contract that every architecture keeps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml.architecture_names import ARCHITECTURE_NAMES
from ml.architectures import ARCHITECTURES, NetworkOptions, build_network
from ml.artifact import NETWORK_NAME, ArtifactMetadata, write_artifact
from ml.calibration import softmax
from ml.checkpoint import CheckpointStore, HistoryRow, Progress
from ml.config import TrainingConfig
from ml.export import export_litert, round_to_float16
from ml.inference import Classifier
from ml.preprocessing import Preprocessing
from ml.recipes import recipe_for
from ml.training import train
from tests.ml.training_pictures import LABELS, colored_pictures, training_data

# Converting takes a minute each: `make test-server` runs the first ones, `make test-networks`
# the others.
SLOW = {"mobilenet_v2", "mobilenet_v3_small"}
HEAVY = {"efficientnet_v2_b0", "mobilenet_v1", "mobilenet_v3_large", "pp_lcnet"}
MARKS = ((SLOW, pytest.mark.slow), (HEAVY, pytest.mark.heavy))
SMALLER = {  # the same layers, fewer of them
    "mlp": NetworkOptions(layers=(32, 16)),
    "recurrent": NetworkOptions(depth=1, width=16),
    "attention": NetworkOptions(depth=1, width=32),
    "residual_cnn": NetworkOptions(width=8),
}
WITHOUT_MAPS = {
    "nearest_neighbours",
    "linear",
    "perceptron",
    "mlp",
    "recurrent",
    "spatial_transformer",
}
LARGEST_EMBEDDING = 1280


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One architecture after a training that was interrupted and taken up again."""

    name: str
    side_px: int
    network: keras.Model
    history: list[HistoryRow]


def _as_parameter(name: str) -> Any:
    marks = [mark for names, mark in MARKS if name in names]
    return pytest.param(name, marks=marks)


@pytest.fixture(scope="module", params=[_as_parameter(name) for name in sorted(ARCHITECTURES)])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Each architecture, trained by its own recipe on three colours.

    A backbone begins with a file of weights nobody trained; only its head is trained here.
    """
    name, workspace = request.param, tmp_path_factory.mktemp(request.param)
    transfer = ARCHITECTURES[name].recipe == "transfer"
    side_px = 32 if transfer or name == "pp_lcnet" else 16
    weights = "none"
    if transfer:
        weights = str(workspace / "backbone.weights.h5")
        _save_backbone(name, side_px, weights)
    recipe = recipe_for(name)
    config = TrainingConfig(
        architecture=name,
        options=SMALLER.get(name, NetworkOptions()).to_dict(),
        weights=weights,
        epochs=0 if transfer else 2,
        batch_size=8,
        seed=3,
        augmentation="none",
        # Muon takes a minute to trace in many layers; tests of training have it in few.
        optimizer="adamw" if recipe.optimizer == "muon" else recipe.optimizer,
        learning_rate=recipe.rate_for(8),
        weight_decay=recipe.weight_decay,
    )
    data = training_data(24, side_px)
    if ARCHITECTURES[name].recipe != "memorise":
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CheckpointStore, "save", _save_and_stop)
            with pytest.raises(KeyboardInterrupt):
                train(data, config, workspace=workspace, progress=False)
    done = train(data, config, workspace=workspace, progress=False)
    round_to_float16(done.network)
    return Trained(name=name, side_px=side_px, network=done.network, history=done.history)


def _save_backbone(name: str, side_px: int, path: str) -> None:
    """Write random weights, with statistics that let the pictures through.

    As Keras begins, they fade to nothing in the depthwise convolutions; under the batch's own
    statistics, the little by which noise differs would grow with every layer.
    """
    features = build_network(name, (side_px, side_px, 3), len(LABELS), "none").get_layer("features")
    backbone = features.get_layer("backbone")
    normalisations = [
        layer for layer in backbone.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for layer in normalisations:
        layer.momentum = 0.0
    features(colored_pictures(8, side_px)[0], training=True)
    for layer in normalisations:
        mean = np.asarray(layer.moving_mean)
        layer.moving_variance.assign(np.asarray(layer.moving_variance) + np.square(mean))
        layer.moving_mean.assign(np.zeros_like(mean))
    backbone.save_weights(path)


_save = CheckpointStore.save


def _save_and_stop(store: CheckpointStore, progress: Progress) -> None:
    _save(store, progress)
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def classifier(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """Return the architecture as the site serves it: LiteRT, checked by the loader."""
    directory = tmp_path_factory.mktemp("versions") / trained.name
    metadata = ArtifactMetadata(
        name=trained.name,
        labels=LABELS,
        preprocessing=Preprocessing(height_px=trained.side_px, width_px=trained.side_px),
        architecture=trained.name,
        parameters=trained.network.count_params(),
        config={},
        temperature=1.0,
        dataset={},
        libraries={},
        created_at="2026-01-01T00:00:00+00:00",
        files={},
    )
    # The converter folds batch normalisation into the weights before it rounds them to float16:
    # 1 % of the embedding of a backbone with ImageNet's weights. Random ones make any amount of
    # it, and another one on another processor, so here their weights are not rounded.
    float16 = ARCHITECTURES[trained.name].recipe != "transfer"
    network = export_litert(trained.network, float16=float16)
    write_artifact(directory, metadata, {NETWORK_NAME: network})
    return Classifier.load(directory)


def test_training_goes_on_where_it_stopped_and_makes_the_loss_smaller(trained: Trained) -> None:
    epochs = [row["epoch"] for row in trained.history]
    assert epochs == list(range(1, len(epochs) + 1))
    if ARCHITECTURES[trained.name].recipe == "memorise":
        assert len(epochs) == 1
    else:
        assert trained.history[-1]["loss"] < trained.history[0]["loss"]
    assert max(float(row["val_accuracy"]) for row in trained.history) > 1 / len(LABELS)


def test_network_gives_one_finite_logit_for_each_class(trained: Trained) -> None:
    pictures, _ = colored_pictures(2, trained.side_px)
    logits = np.asarray(trained.network(pictures, training=False))
    assert logits.shape == (6, len(LABELS))
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


def test_every_parameter_receives_a_gradient(trained: Trained) -> None:
    pictures, truth = colored_pictures(8, trained.side_px)
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


def test_served_network_agrees_with_the_trained_one(
    trained: Trained, classifier: Classifier
) -> None:
    pictures, _ = colored_pictures(3, trained.side_px, seed=5)
    embed = keras.Model(trained.network.input, trained.network.get_layer("embedding").output)
    embeddings = np.asarray(embed(pictures, training=False))
    logits = np.asarray(trained.network(pictures, training=False))
    assert embeddings.shape[1] <= LARGEST_EMBEDDING
    for picture, embedding, expected in zip(pictures, embeddings, logits, strict=True):
        served = classifier.classify(picture)
        np.testing.assert_allclose(served.probabilities, softmax(expected), atol=1e-3)
        difference = np.linalg.norm(served.embedding - embedding)
        assert difference <= 1e-2 * max(1, np.linalg.norm(embedding))


def test_served_network_shows_where_it_looks_if_it_has_feature_maps(
    trained: Trained, classifier: Classifier
) -> None:
    picture = colored_pictures(1, trained.side_px, seed=5)[0][0]
    served = classifier.classify(picture)
    if trained.name in WITHOUT_MAPS:
        assert served.activation is None
        return
    assert served.activation is not None
    assert served.activation.shape[-1] == len(LABELS)
    if isinstance(trained.network.get_layer("embedding"), keras.layers.GlobalAveragePooling2D):
        np.testing.assert_allclose(served.activation.mean((0, 1)), served.logits, atol=1e-2)


def test_keras_file_holds_the_whole_network(trained: Trained, tmp_path: Path) -> None:
    trained.network.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    pictures, _ = colored_pictures(2, trained.side_px)
    np.testing.assert_allclose(
        restored(pictures, training=False), trained.network(pictures, training=False), atol=1e-5
    )


def test_the_names_that_are_listed_without_tensorflow_are_those_of_the_architectures() -> None:
    assert sorted(ARCHITECTURE_NAMES) == sorted(ARCHITECTURES)
