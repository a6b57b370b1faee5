"""Training on three recipes: from scratch, a head on an ImageNet backbone, or by heart.

From scratch the whole network learns under the config's optimizer. Transfer: the backbone's
embeddings of every picture are computed once, a head is trained on them, then the top blocks
are refined with the head, their weights averaged with those from before, and kept only if
validation improves. By heart the training pictures become the network. The epoch is chosen on
validation pictures alone: by the share that is right, and on a backbone by the loss.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ml import events
from ml.architectures import NetworkOptions, architecture_named, build_network
from ml.architectures.weights import parse_weights
from ml.augmentation import NO_AUGMENTATION, augmentation_named
from ml.checkpoint import CheckpointStore, HistoryRow, Progress
from ml.config import TrainingConfig
from ml.epochs import EpochBar
from ml.features import head_features, split_at, through
from ml.frozen import frozen
from ml.optimizers import add_l2, build_loss, build_optimizer
from ml.pipeline import class_weights, training_batches
from ml.precision import fastest_policy

EVALUATION_BATCH = 128
STEPS_AT_ONCE = 16  # between two looks at the clock and at signals, where steps are short
SHORT_STEP_SIDE_PX = 64  # of pictures whose steps are short
HEAD_EPOCHS = 20
HEAD_BATCH = 128
HEAD_BATCHES = 20  # an epoch at least, in smaller batches, so that few pictures make many steps
HEAD_LEAST_BATCH = 8
HEAD_RATE = 3e-3
HEAD_DECAY = 8.0  # with 0.05 the head has few pictures by heart; docs/networks.md
REFINED_SHARES = (0.5, 0.75)  # of the refined weights, beside all of them, to choose from

Phase = Literal["train", "head", "refine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """Pictures in memory: (n, height, width, channels) uint8 and class indices (n,)."""

    labels: tuple[str, ...]
    train: npt.NDArray[np.uint8]
    train_truth: npt.NDArray[np.int32]
    validation: npt.NDArray[np.uint8]
    validation_truth: npt.NDArray[np.int32]


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
    transfer = architecture.recipe == "transfer" and config.weights != "none"
    events.stage("training", epochs=config.epochs + (HEAD_EPOCHS if transfer else 0))
    if architecture.memorise is not None:
        network = architecture.memorise(data.train, data.train_truth, len(data.labels), options)
        return TrainedNetwork(network=network, history=[_memorised(network, data)])
    input_shape, classes = data.train.shape[1:], len(data.labels)
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if transfer else fastest_policy())
    try:
        weights = parse_weights(config.weights)
        network = build_network(config.architecture, input_shape, classes, weights, options)
        run = _Run(
            data=data,
            config=config,
            store=CheckpointStore(workspace / "checkpoint.npz"),
            workspace=workspace,
            show=progress,
        )
        history = run.transfer(network) if transfer else run.scratch(network)
        if transfer and config.epochs == 0:
            return TrainedNetwork(network=network, history=history)
    finally:
        keras.config.set_dtype_policy(previous)
    plain = build_network(config.architecture, input_shape, classes, "none", options)
    plain.set_weights(network.get_weights())
    return TrainedNetwork(network=plain, history=history)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One training: what it learns from and where it writes."""

    data: TrainingData
    config: TrainingConfig
    store: CheckpointStore
    workspace: Path
    show: bool

    def scratch(self, network: keras.Model) -> list[HistoryRow]:
        config, learner = self.config, network
        if config.train_side_px is not None:
            shape = (config.train_side_px, config.train_side_px, network.input_shape[3])
            options = NetworkOptions.from_dict(config.options)
            learner = build_network(
                config.architecture, shape, len(self.data.labels), "none", options
            )
            self._compile(network, config, steps=1)  # to be judged only
        short = max(learner.input_shape[1:3]) <= SHORT_STEP_SIDE_PX
        self._compile(learner, config, self._steps(), at_once=STEPS_AT_ONCE if short else 1)
        done = self._fit(learner, "train", config.epochs, self._batches, judged=network)
        network.set_weights(done.best_weights)
        return done.history

    def transfer(self, network: keras.Model) -> list[HistoryRow]:
        progress = self.store.load()
        if progress is None or progress.phase == "head":
            progress = self._train_head(network)
        return self._refine(network, progress)

    def _train_head(self, network: keras.Model) -> Progress:
        """Train the head on the embeddings of every picture."""
        data, head = self.data, network.get_layer("head")
        train, validation = head_features(
            network, data.train, data.validation, workspace=self.workspace, progress=self.show
        )
        truth = data.train_truth
        statistics = head.get_layer("standardise")
        statistics.moving_mean.assign(train.mean(axis=0))
        statistics.moving_variance.assign(train.var(axis=0) + 1e-6)
        config = replace(
            self.config,
            optimizer="adamw", schedule="cosine", learning_rate=HEAD_RATE,
            weight_decay=HEAD_DECAY, ema=0.0,
        )  # fmt: skip
        batch_size = head_batch(len(truth))
        steps = HEAD_EPOCHS * max(1, len(truth) // batch_size)
        self._compile(head, config, steps, at_once=STEPS_AT_ONCE)
        weights = class_weights(data.train_truth, len(data.labels))

        def batches(epoch: int) -> tf.data.Dataset:
            return training_batches(
                train, truth, weights, batch_size=batch_size, augmentation=NO_AUGMENTATION,
                seed=self.config.seed, epoch=epoch,
            )  # fmt: skip

        return self._fit(head, "head", HEAD_EPOCHS, batches, validation=validation)

    def _refine(self, network: keras.Model, progress: Progress) -> list[HistoryRow]:
        """Refine the top blocks together with the head; keep them only if they are better."""
        first_trained = architecture_named(self.config.architecture).refine_from
        bottom, top = split_at(network, first_trained)
        if progress.phase == "head":
            network.get_layer("head").set_weights(progress.best_weights)
            progress = Progress(
                phase="refine",
                first_weights=top.get_weights(),
                best_weights=top.get_weights(),
                best_score=progress.best_score,
                history=progress.history,
            )
        if self.config.epochs == 0:
            return progress.history
        self._compile(top, self.config, self._steps())
        maps = top.input_shape[1:]
        with frozen(bottom) as part:

            def batches(epoch: int) -> tf.data.Dataset:
                return through(part, self._batches(epoch), maps)

            validation = part(self.data.validation)
            done = self._fit(
                top, "refine", self.config.epochs, batches, validation=validation, begin=progress
            )
        if done.first_weights:  # a checkpoint of an earlier release has none
            self._average(top, done, validation)
        return done.history

    def _average(
        self, top: keras.Model, done: Progress, validation: npt.NDArray[np.float32]
    ) -> None:
        """Leave the refined weights in `top`, or their mean with the first ones if that is better.

        Such a mean is often as right on pictures like the training's and better on others
        (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").
        """
        judging, best, chosen = self._judging(validation), done.best_score, done.best_weights
        for share in REFINED_SHARES:
            top.set_weights(
                [
                    (1 - share) * first + share * refined
                    for first, refined in zip(done.first_weights, done.best_weights, strict=True)
                ]
            )
            loss, accuracy = top.evaluate(judging, verbose=0)
            if _score("refine", accuracy, loss) > best:
                best, chosen = _score("refine", accuracy, loss), top.get_weights()
        top.set_weights(chosen)

    def _steps(self) -> int:
        """Return the number of steps of all epochs."""
        pictures = len(self.data.train_truth)
        return self.config.epochs * (pictures // min(self.config.batch_size, pictures))

    def _compile(
        self, network: keras.Model, config: TrainingConfig, steps: int, *, at_once: int = 1
    ) -> None:
        """Make `network` ready for `steps` steps, `at_once` of them without Python between."""
        if config.l2:
            add_l2(network, config.l2)
        network.compile(
            optimizer=build_optimizer(config, steps),
            loss=build_loss(config.loss, label_smoothing=config.label_smoothing),
            metrics=["accuracy"],
            jit_compile=False,  # measured slower on CPUs
            steps_per_execution=at_once,
        )

    def _batches(self, epoch: int) -> tf.data.Dataset:
        data, config = self.data, self.config
        return training_batches(
            data.train,
            data.train_truth,
            class_weights(data.train_truth, len(data.labels)),
            batch_size=config.batch_size,
            augmentation=augmentation_named(config.augmentation, mirror=config.mirror),
            side_px=config.train_side_px,
            mix=config.mix,
            seed=config.seed,
            epoch=epoch,
        )

    def _fit(
        self,
        network: keras.Model,
        phase: Phase,
        epochs: int,
        batches: Callable[[int], tf.data.Dataset],
        *,
        validation: npt.NDArray[Any] | None = None,
        begin: Progress | None = None,
        judged: keras.Model | None = None,
    ) -> Progress:
        """Run a phase from where its checkpoint stands; end with the best epoch's weights.

        Each epoch's weights are judged in the network `judged`, if another than `network`.
        """
        judged = judged or network
        batch_size = self.config.batch_size
        if phase == "head":
            batch_size = head_batch(len(self.data.train_truth))
        pictures = self.data.validation if validation is None else validation
        judging = self._judging(pictures)
        progress = self.store.load()
        if progress is not None and progress.phase == phase and progress.epoch:
            progress.apply(network)
        else:
            progress = begin or Progress(phase=phase)
        for epoch in range(progress.epoch, epochs):
            if self._is_out_of_patience(progress, phase):
                break
            bar = EpochBar(phase, epoch, epochs, batch_size=batch_size, show=self.show)
            started_s = time.monotonic()
            network.fit(batches(epoch), shuffle=False, verbose=0, callbacks=[bar])
            seconds = time.monotonic() - started_s
            # Where a running mean of the weights is kept, `fit` has put it in their place: it is
            # judged and kept, and training goes on from the weights themselves.
            progress.capture(network, bar.weights)
            if judged is not network:
                judged.set_weights(network.get_weights())
            loss, accuracy = judged.evaluate(judging, verbose=0)
            progress.history.append(bar.finish(loss, accuracy, seconds))
            progress.epoch = epoch + 1
            if _score(phase, accuracy, loss) > progress.best_score:
                progress.best_score = _score(phase, accuracy, loss)
                progress.best_weights = network.get_weights()
            if network.optimizer.use_ema:
                network.set_weights(progress.weights)
            events.epoch(progress.history[-1])  # first: told twice is better than never
            self.store.save(progress)
        network.set_weights(progress.best_weights)
        return progress

    def _judging(self, pictures: npt.NDArray[Any]) -> tf.data.Dataset:
        """Return the validation pictures, or what is made of them, and their classes in batches."""
        truth = np.eye(len(self.data.labels), dtype=np.float32)[self.data.validation_truth]
        return tf.data.Dataset.from_tensor_slices((pictures, truth)).batch(EVALUATION_BATCH)

    def _is_out_of_patience(self, progress: Progress, phase: Phase) -> bool:
        """Return whether the last epochs of this phase brought nothing."""
        patience = self.config.patience
        scores = [float(row["val_accuracy"]) for row in progress.history if row["phase"] == phase]
        return 0 < patience < len(scores) and max(scores[-patience:]) <= max(scores[:-patience])


def _score(phase: Phase, accuracy: float, loss: float) -> tuple[float, float]:
    """Return what an epoch is chosen by; larger is better.

    A backbone has few validation pictures, of which one more or fewer is right by chance; its
    loss, the head's and the top blocks', depends on all of them.
    """
    return (accuracy, -loss) if phase == "train" else (-loss, accuracy)


def head_batch(pictures: int) -> int:
    """Return how many of the training pictures a step of the head sees."""
    return max(HEAD_LEAST_BATCH, min(HEAD_BATCH, pictures // HEAD_BATCHES))


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
