"""Epochs with a checkpoint after each: what every phase of a training shares."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ml import events
from ml.augmentation import augmentation_named
from ml.checkpoint import CheckpointStore, Progress
from ml.config import TrainingConfig
from ml.epochs import EpochBar
from ml.optimizers import add_l2, build_loss, build_optimizer
from ml.pipeline import class_weights, training_batches

EVALUATION_BATCH = 128
STEPS_AT_ONCE = 16  # between two looks at the clock and at signals, where steps are short

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
class Fitting:
    """One training: what it learns from, how, and where it writes."""

    data: TrainingData
    config: TrainingConfig
    store: CheckpointStore
    workspace: Path
    show: bool

    def steps(self) -> int:
        """Return the number of steps of all epochs."""
        pictures = len(self.data.train_truth)
        return self.config.epochs * (pictures // min(self.config.batch_size, pictures))

    def compile(
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

    def batches(self, epoch: int) -> tf.data.Dataset:
        """Return an epoch of the training pictures, augmented and mixed as the config says."""
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

    def fit(
        self,
        network: keras.Model,
        phase: Phase,
        epochs: int,
        batches: Callable[[int], tf.data.Dataset],
        *,
        validation: npt.NDArray[Any] | None = None,
        begin: Progress | None = None,
        judged: keras.Model | None = None,
        batch_size: int | None = None,
    ) -> Progress:
        """Run a phase from where its checkpoint stands; end with the best epoch's weights.

        Each epoch's weights are judged in the network `judged`, if another than `network`.
        """
        judged = judged or network
        batch_size = self.config.batch_size if batch_size is None else batch_size
        pictures = self.data.validation if validation is None else validation
        judging = self.judging(pictures)
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
            if score(phase, accuracy, loss) > progress.best_score:
                progress.best_score = score(phase, accuracy, loss)
                progress.best_weights = network.get_weights()
            if network.optimizer.use_ema:
                network.set_weights(progress.weights)
            events.epoch(progress.history[-1])  # first: told twice is better than never
            self.store.save(progress)
        network.set_weights(progress.best_weights)
        return progress

    def judging(self, pictures: npt.NDArray[Any]) -> tf.data.Dataset:
        """Return the validation pictures, or what is made of them, and their classes in batches."""
        truth = np.eye(len(self.data.labels), dtype=np.float32)[self.data.validation_truth]
        return tf.data.Dataset.from_tensor_slices((pictures, truth)).batch(EVALUATION_BATCH)

    def _is_out_of_patience(self, progress: Progress, phase: Phase) -> bool:
        """Return whether the last epochs of this phase brought nothing."""
        patience = self.config.patience
        scores = [float(row["val_accuracy"]) for row in progress.history if row["phase"] == phase]
        return 0 < patience < len(scores) and max(scores[-patience:]) <= max(scores[:-patience])


def score(phase: Phase, accuracy: float, loss: float) -> tuple[float, float]:
    """Return what an epoch is chosen by; larger is better.

    A backbone has few validation pictures, of which one more or fewer is right by chance; its
    loss, the head's and the top blocks', depends on all of them.
    """
    if math.isnan(loss):  # it has diverged
        loss = math.inf
    return (accuracy, -loss) if phase == "train" else (-loss, accuracy)
