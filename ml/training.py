"""Training on three recipes: from scratch, a head on an ImageNet backbone, or by heart.

From scratch the whole network learns under the config's optimizer. Transfer: the backbone's
embeddings of every picture are computed once, a head is trained on them, then the top blocks
are refined with the head, their weights averaged with those from before, and kept only if
validation improves. By heart the training pictures become the network. The epoch is chosen on
validation pictures alone: by the share that is right, and on a backbone by the loss.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from ml import events
from ml.architectures import NetworkOptions, architecture_named, build_network
from ml.architectures.mirror import mirror_averaged
from ml.architectures.weights import parse_weights
from ml.checkpoint import CheckpointStore, HistoryRow
from ml.config import TrainingConfig
from ml.fitting import EVALUATION_BATCH, STEPS_AT_ONCE, Fitting, TrainingData
from ml.precision import fastest_policy
from ml.transfer import HEAD_EPOCHS, transfer

SHORT_STEP_SIDE_PX = 64  # of pictures whose steps are short


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNetwork:
    """What a training gives: a float32 network and one history row per epoch."""

    network: keras.Model
    history: list[HistoryRow]


def train(
    data: TrainingData, config: TrainingConfig, *, workspace: Path, progress: bool = True
) -> TrainedNetwork:
    """Train as `config` says; checkpoint after each epoch in `workspace`.

    A checkpoint that lies there is taken up: at most the epoch under way is lost. With the
    same seed on the same machine the same network comes out. Raises TrainingError for a
    config that cannot be followed.
    """
    keras.utils.set_random_seed(config.seed)
    architecture = architecture_named(config.architecture)
    options = NetworkOptions.from_dict(config.options)
    workspace.mkdir(parents=True, exist_ok=True)
    on_backbone = architecture.recipe == "transfer" and config.weights != "none"
    events.stage("training", epochs=config.epochs + (HEAD_EPOCHS if on_backbone else 0))
    if architecture.memorise is not None:
        network = architecture.memorise(data.train, data.train_truth, len(data.labels), options)
        return TrainedNetwork(network=network, history=[_memorised(network, data)])
    input_shape, classes = data.train.shape[1:], len(data.labels)
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if on_backbone else fastest_policy())
    try:
        weights = parse_weights(config.weights)
        network = build_network(config.architecture, input_shape, classes, weights, options)
        fitting = Fitting(
            data=data,
            config=config,
            store=CheckpointStore(workspace / "checkpoint.npz"),
            workspace=workspace,
            show=progress,
        )
        history = transfer(fitting, network) if on_backbone else _scratch(fitting, network)
        if on_backbone and config.epochs == 0:
            return TrainedNetwork(network=network, history=history)
    finally:
        keras.config.set_dtype_policy(previous)
    plain = build_network(config.architecture, input_shape, classes, "none", options)
    plain.set_weights(network.get_weights())
    if config.mirror_averaged:
        plain = mirror_averaged(plain)
    return TrainedNetwork(network=plain, history=history)


def _scratch(fitting: Fitting, network: keras.Model) -> list[HistoryRow]:
    config, learner = fitting.config, network
    if config.train_side_px is not None:
        shape = (config.train_side_px, config.train_side_px, network.input_shape[3])
        options = NetworkOptions.from_dict(config.options)
        learner = build_network(
            config.architecture, shape, len(fitting.data.labels), "none", options
        )
        fitting.compile(network, config, steps=1)  # to be judged only
    short = max(learner.input_shape[1:3]) <= SHORT_STEP_SIDE_PX
    fitting.compile(learner, config, fitting.steps(), at_once=STEPS_AT_ONCE if short else 1)
    done = fitting.fit(learner, "train", config.epochs, fitting.batches, judged=network)
    network.set_weights(done.best_weights)
    return done.history


def _memorised(network: keras.Model, data: TrainingData) -> HistoryRow:
    """Return the one history row of a network that took the pictures in by heart."""
    started_s = time.monotonic()
    logits = network.predict(data.validation, batch_size=EVALUATION_BATCH, verbose=0)
    truth = np.eye(len(data.labels), dtype=np.float32)[data.validation_truth]
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)(truth, logits)
    seconds = max(time.monotonic() - started_s, 1e-9)
    return {
        "phase": "memorise",
        "epoch": 1,
        "loss": 0.0,
        "accuracy": 1.0,
        "val_loss": float(loss),
        "val_accuracy": float(np.mean(logits.argmax(axis=1) == data.validation_truth)),
        "seconds": seconds,
        "images_per_s": len(truth) / seconds,
    }
