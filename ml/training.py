"""Training on two recipes: a small network from scratch, or a head on an ImageNet backbone.

From scratch: SGD with Nesterov momentum under a triangular learning rate (Smith & Topin
2018). Transfer: the backbone's embeddings of every picture and its mirror image are
computed once, a head is trained on them, then the top blocks are refined with the head
and kept only if validation improves. The epoch is chosen on validation pictures alone.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ml.architectures import architecture_named, build_network
from ml.architectures.weights import parse_weights
from ml.checkpoint import CheckpointStore, HistoryRow, Progress
from ml.epochs import EpochBar
from ml.features import head_features
from ml.pipeline import (
    DRAWINGS,
    NO_AUGMENTATION,
    PHOTOS,
    Augmentation,
    class_weights,
    training_batches,
)
from ml.precision import fastest_policy

EVALUATION_BATCH = 128
HEAD_EPOCHS = 20
HEAD_BATCH = 128
HEAD_RATE = 3e-3
HEAD_DECAY = 0.05
REFINE_RATE = 3e-4
REFINE_DECAY = 0.02
SCRATCH_RATE = 0.3  # for batches of 128; scaled with the batch
SCRATCH_DECAY = 5e-4
BACKBONE_RATE = 2e-3

AUGMENTATIONS: dict[str, Augmentation] = {
    "none": NO_AUGMENTATION,
    "photos": PHOTOS,
    "drawings": DRAWINGS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """Everything that decides what a training does, stored with the version it made."""

    architecture: str
    weights: str
    """"imagenet", "none" or the path of a `.weights.h5` file."""
    epochs: int
    """Epochs of the whole network (from scratch) or of the refine phase (transfer)."""
    batch_size: int
    seed: int
    augmentation: str
    """A key of `AUGMENTATIONS`."""
    label_smoothing: float = 0.1
    """Probability taken from the true class and spread (Szegedy et al. 2016)."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)


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


@keras.saving.register_keras_serializable(package="lacewing")
class TriangularRate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """Learning rate that climbs to its peak over the first fifth, then falls to near zero."""

    FIRST, LAST, RISE = 0.1, 0.005, 0.2  # shares of the peak, of the peak, of the steps

    def __init__(self, peak: float, steps: int) -> None:
        super().__init__()
        self.peak = peak
        self.steps = steps

    def __call__(self, step: Any) -> Any:
        """Return the rate at `step`."""
        done = keras.ops.cast(step, "float32") / max(self.steps, 1)
        rising = self.FIRST + (1 - self.FIRST) * done / self.RISE
        falling = 1 - (1 - self.LAST) * (done - self.RISE) / (1 - self.RISE)
        return self.peak * keras.ops.maximum(keras.ops.minimum(rising, falling), self.LAST)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's arguments."""
        return {"peak": self.peak, "steps": self.steps}


def train(
    data: TrainingData, config: TrainingConfig, *, workspace: Path, progress: bool = True
) -> TrainedNetwork:
    """Train as `config` says; checkpoint after each epoch in `workspace`.

    A checkpoint that lies there is taken up: at most the epoch under way is lost. With the
    same seed on the same machine the same network comes out. Raises TrainingError for a
    config that cannot be followed.
    """
    keras.utils.set_random_seed(config.seed)
    transfer = (
        architecture_named(config.architecture).recipe == "transfer" and config.weights != "none"
    )
    input_shape = data.train.shape[1:]
    arguments = (
        config.architecture, input_shape, len(data.labels), parse_weights(config.weights)
    )  # fmt: skip
    workspace.mkdir(parents=True, exist_ok=True)
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32" if transfer else fastest_policy())
    try:
        network = build_network(*arguments)
        run = _Run(
            data=data,
            config=config,
            store=CheckpointStore(workspace / "checkpoint.npz"),
            workspace=workspace,
            show=progress,
        )
        history = run.transfer(network) if transfer else run.scratch(network)
        weights = network.get_weights()
    finally:
        keras.config.set_dtype_policy(previous)
    plain = build_network(*arguments[:3], "none")
    plain.set_weights(weights)
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
        config, data = self.config, self.data
        steps = config.epochs * max(1, len(data.train_truth) // config.batch_size)
        if architecture_named(config.architecture).recipe == "scratch":
            optimizer: keras.optimizers.Optimizer = keras.optimizers.SGD(
                TriangularRate(SCRATCH_RATE * config.batch_size / 128, steps),
                momentum=0.9,
                nesterov=True,
                weight_decay=SCRATCH_DECAY,
            )
        else:  # a backbone without its weights: deep, and made for adaptive rates
            optimizer = keras.optimizers.AdamW(
                TriangularRate(BACKBONE_RATE, steps), weight_decay=HEAD_DECAY
            )
        self._compile(network, optimizer)
        return self._fit(network, "train", config.epochs, self._batches).history

    def transfer(self, network: keras.Model) -> list[HistoryRow]:
        progress = self.store.load()
        if progress is None or progress.phase == "head":
            progress = self._train_head(network)
        return self._refine(network, progress)

    def _train_head(self, network: keras.Model) -> Progress:
        """Train the head on the embeddings of every picture and of its mirror image."""
        data, head = self.data, network.get_layer("head")
        mirror = AUGMENTATIONS[self.config.augmentation].mirror
        train, validation = (
            head_features(
                network, pictures, cache=self.workspace / f"features-{name}.npy",
                mirror=mirror and name == "train", progress=self.show,
            )
            for name, pictures in (("train", data.train), ("validation", data.validation))
        )  # fmt: skip
        truth = np.tile(data.train_truth, len(train) // len(data.train_truth))
        statistics = head.get_layer("standardise")
        statistics.moving_mean.assign(train.mean(axis=0))
        statistics.moving_variance.assign(train.var(axis=0) + 1e-6)
        steps = HEAD_EPOCHS * max(1, len(truth) // HEAD_BATCH)
        self._compile(
            head,
            keras.optimizers.AdamW(
                keras.optimizers.schedules.CosineDecay(HEAD_RATE, steps), weight_decay=HEAD_DECAY
            ),
        )
        weights = class_weights(data.train_truth, len(data.labels))

        def batches(epoch: int) -> tf.data.Dataset:
            return training_batches(
                train, truth, weights, batch_size=HEAD_BATCH, augmentation=NO_AUGMENTATION,
                seed=self.config.seed, epoch=epoch,
            )  # fmt: skip

        return self._fit(head, "head", HEAD_EPOCHS, batches, validation=validation)

    def _refine(self, network: keras.Model, progress: Progress) -> list[HistoryRow]:
        """Refine the top blocks together with the head; keep them only if they are better."""
        head = network.get_layer("head")
        if progress.phase == "head":
            head.set_weights(progress.best_weights)
            progress = Progress(
                phase="refine",
                best_weights=network.get_weights(),
                best_score=progress.best_score,
                history=progress.history,
            )
        if self.config.epochs == 0:
            network.set_weights(progress.best_weights)
            return progress.history
        _freeze_below(network, architecture_named(self.config.architecture).refine_from)
        steps = self.config.epochs * max(1, len(self.data.train_truth) // self.config.batch_size)
        self._compile(
            network,
            keras.optimizers.AdamW(TriangularRate(REFINE_RATE, steps), weight_decay=REFINE_DECAY),
        )
        done = self._fit(network, "refine", self.config.epochs, self._batches, begin=progress)
        return done.history

    def _compile(self, network: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        network.compile(
            optimizer=optimizer,
            loss=keras.losses.CategoricalCrossentropy(
                from_logits=True, label_smoothing=self.config.label_smoothing
            ),
            metrics=["accuracy"],
            jit_compile=False,  # measured slower on CPUs
        )

    def _batches(self, epoch: int) -> tf.data.Dataset:
        data, config = self.data, self.config
        return training_batches(
            data.train,
            data.train_truth,
            class_weights(data.train_truth, len(data.labels)),
            batch_size=config.batch_size,
            augmentation=AUGMENTATIONS[config.augmentation],
            seed=config.seed,
            epoch=epoch,
        )

    def _fit(
        self,
        network: keras.Model,
        phase: Literal["train", "head", "refine"],
        epochs: int,
        batches: Callable[[int], tf.data.Dataset],
        *,
        validation: npt.NDArray[Any] | None = None,
        begin: Progress | None = None,
    ) -> Progress:
        """Run a phase from where its checkpoint stands; end with the best epoch's weights."""
        batch_size = HEAD_BATCH if phase == "head" else self.config.batch_size
        pictures = self.data.validation if validation is None else validation
        truth = np.eye(len(self.data.labels), dtype=np.float32)[self.data.validation_truth]
        progress = self.store.load()
        if progress is not None and progress.phase == phase and progress.epoch:
            progress.apply(network)
        else:
            progress = begin or Progress(phase=phase)
        for epoch in range(progress.epoch, epochs):
            bar = EpochBar(phase, epoch, epochs, batch_size=batch_size, show=self.show)
            started_s = time.monotonic()
            network.fit(batches(epoch), shuffle=False, verbose=0, callbacks=[bar])
            seconds = time.monotonic() - started_s
            loss, accuracy = network.evaluate(
                pictures, truth, batch_size=EVALUATION_BATCH, verbose=0
            )
            progress.history.append(bar.finish(loss, accuracy, seconds))
            progress.epoch = epoch + 1
            progress.capture(network)
            if (accuracy, -loss) > progress.best_score:
                progress.best_score = (accuracy, -loss)
                progress.best_weights = progress.weights
            self.store.save(progress)
        network.set_weights(progress.best_weights)
        return progress


def _freeze_below(network: keras.Model, first_trained: str) -> None:
    """Leave only the backbone's layers from `first_trained` on trainable, and the head.

    Batch normalisation stays frozen, so that its statistics stay ImageNet's.
    """
    backbone = network.get_layer("features").get_layer("backbone")
    reached = False
    for layer in backbone.layers:
        reached = reached or layer.name == first_trained
        layer.trainable = reached and not isinstance(layer, keras.layers.BatchNormalization)
