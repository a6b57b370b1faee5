"""How fast training learns, as ratios within one run.

`python -m benchmarks.training --data mnist.npz` measures two things on MNIST's layout
(`x_train, y_train, x_test, y_test`):

- seconds from the untrained network to 99.0 % of the test digits, of the recipe of `retrain
  --quick`, beside the convolutional network of Keras's own introduction (two convolutions,
  two poolings, dropout; Adam, batches of 128);
- pictures/s of whole epochs, with shuffling and augmentation, as a share of the training
  step alone on one batch that is already there: of drawings, and of photographs learned from
  scratch.

Importing TensorFlow and scoring the test digits are left out of every time. Beside the seconds
on the clock stand the processor's seconds, shared among the cores: what the clock would say if
nothing else ran and every core were always busy.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from ml.architectures import architecture_named, build_network
from ml.augmentation import AUGMENTATIONS, NO_AUGMENTATION
from ml.config import TrainingConfig
from ml.fitting import STEPS_AT_ONCE, TrainingData
from ml.mixing import Mix
from ml.optimizers import build_loss, build_optimizer
from ml.pipeline import training_batches
from ml.precision import fastest_policy
from ml.recipes import recipe_for
from ml.training import train

BATCH = 128
CLASSES = 10
GOAL = 0.99
MOST_EPOCHS = 12  # of the network of the introduction
QUICK_EPOCHS = (1, 2, 3)  # of ours; the first that reaches the goal counts
ROUNDS = 5
CORES = os.cpu_count() or 1

Pixels = npt.NDArray[np.uint8]
Truth = npt.NDArray[np.int32]


@dataclass(slots=True)
class Stopwatch:
    """Seconds on the clock, and of the processor for each core."""

    seconds: float = 0.0
    cpu_s: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add what the block takes."""
        started_s, started_cpu_s = time.monotonic(), time.process_time()
        yield
        self.seconds += time.monotonic() - started_s
        self.cpu_s += (time.process_time() - started_cpu_s) / CORES

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s ({self.cpu_s:.1f} s of the processor a core)"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="mnist.npz")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pipeline", action="store_true", help="only the second")
    arguments = parser.parse_args()
    with np.load(arguments.data) as stored:
        train_pictures, test_pictures = stored["x_train"][..., None], stored["x_test"][..., None]
        train_truth, test_truth = (stored[key].astype(np.int32) for key in ("y_train", "y_test"))
    print(
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, "
        f"{fastest_policy()}; load average {os.getloadavg()[0]:.1f}"
    )
    if not arguments.pipeline:
        _race(train_pictures, train_truth, test_pictures, test_truth, arguments.seed)
    _measure_pipeline(train_pictures, train_truth, DRAWINGS)
    _measure_pipeline(*_photographs(), PHOTOGRAPHS)


def _race(
    train_pictures: Pixels,
    train_truth: Truth,
    test_pictures: Pixels,
    test_truth: Truth,
    seed: int,
) -> None:
    """Print how long ours and the introduction take to the goal."""
    ours = _time_of_ours(train_pictures, train_truth, test_pictures, test_truth, seed)
    theirs = _time_of_the_introduction(train_pictures, train_truth, test_pictures, test_truth, seed)
    ratio = f"{ours.seconds / theirs.seconds:.2f} ({ours.cpu_s / theirs.cpu_s:.2f})"
    print(f"to {GOAL:.1%}: ours {ours}, Keras's introduction {theirs}, ratio {ratio}")


def _time_of_ours(
    train_pictures: Pixels,
    train_truth: Truth,
    test_pictures: Pixels,
    test_truth: Truth,
    seed: int,
) -> Stopwatch:
    """Return the time of the shortest of our schedules that reaches the goal."""
    recipe = recipe_for("cnn")
    held_out = len(train_pictures) // 10  # judged after each epoch, as in every training
    data = TrainingData(
        labels=tuple("0123456789"),
        train=train_pictures[held_out:],
        train_truth=train_truth[held_out:],
        validation=train_pictures[:held_out],
        validation_truth=train_truth[:held_out],
    )
    for epochs in QUICK_EPOCHS:
        config = TrainingConfig(
            architecture="cnn",
            weights="none",
            epochs=epochs,
            batch_size=BATCH,
            seed=seed,
            augmentation="none",
            optimizer=recipe.optimizer,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
        )
        watch = Stopwatch()
        with tempfile.TemporaryDirectory() as workspace, watch.running():
            trained = train(data, config, workspace=Path(workspace), progress=False)
        logits = trained.network.predict(test_pictures, batch_size=500, verbose=0)
        accuracy = float(np.mean(logits.argmax(axis=1) == test_truth))
        print(f"ours, {epochs} epoch(s): {accuracy:.2%} of {len(test_truth):,} in {watch}")
        if accuracy >= GOAL:
            return watch
    raise SystemExit(f"Our recipe did not reach {GOAL:.1%}.")


def _time_of_the_introduction(
    train_pictures: Pixels,
    train_truth: Truth,
    test_pictures: Pixels,
    test_truth: Truth,
    seed: int,
) -> Stopwatch:
    """Train the introduction's network until an epoch ends above the goal."""
    keras.utils.set_random_seed(seed)
    network = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    scaled, scaled_test = train_pictures / np.float32(255), test_pictures / np.float32(255)
    watch = Stopwatch()
    for epoch in range(MOST_EPOCHS):
        with watch.running():
            network.fit(scaled, train_truth, batch_size=BATCH, epochs=1, verbose=0)
        accuracy = network.evaluate(scaled_test, test_truth, batch_size=500, verbose=0)[1]
        print(f"introduction, {epoch + 1} epoch(s): {accuracy:.2%} in {watch}")
        if accuracy >= GOAL:
            return watch
    raise SystemExit(f"The introduction's network did not reach {GOAL:.1%}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """What is learned from, and how it is moved, by the recipe of its network."""

    architecture: str
    batch: int
    steps: int
    """Timed at once."""
    at_once: int
    """Without a visit to Python."""
    augmentation: str
    side_px: int | None = None
    mix: Mix = "none"


DRAWINGS = Pipeline(
    architecture="cnn", batch=BATCH, steps=120, at_once=STEPS_AT_ONCE, augmentation="drawings"
)
PHOTO_NETWORK = "residual_cnn"
PHOTO_RECIPE = recipe_for(PHOTO_NETWORK)
PHOTO_SIDE_PX = architecture_named(PHOTO_NETWORK).image_size_px
PHOTOGRAPHS = Pipeline(
    architecture=PHOTO_NETWORK,
    batch=PHOTO_RECIPE.batch_photos,
    steps=15,
    at_once=1,
    augmentation=PHOTO_RECIPE.augmentation_photos,
    side_px=round(PHOTO_RECIPE.train_side * PHOTO_SIDE_PX),
    mix=PHOTO_RECIPE.mix_photos,
)


def _measure_pipeline(pictures: Pixels, truth: Truth, pipeline: Pipeline) -> None:
    """Time the step alone and whole epochs in turn, so that both see the same machine."""
    batch, steps = pipeline.batch, pipeline.steps
    pictures, truth = pictures[: steps * batch], truth[: steps * batch]
    side_px = pipeline.side_px or pictures.shape[1]
    weights = np.ones(CLASSES, np.float32)
    recipe = recipe_for(pipeline.architecture)
    config = TrainingConfig(
        architecture=pipeline.architecture, weights="none", epochs=1, batch_size=batch, seed=0,
        augmentation=pipeline.augmentation, optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate / 100,
    )  # fmt: skip
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(fastest_policy())
    try:
        shape = (side_px, side_px, pictures.shape[3])
        network = build_network(pipeline.architecture, shape, CLASSES, "none")
    finally:
        keras.config.set_dtype_policy(previous)
    network.compile(
        build_optimizer(config, steps),
        build_loss("cross_entropy", label_smoothing=0.1),
        steps_per_execution=pipeline.at_once,
    )

    def time_of(name: str, epoch: int) -> Stopwatch:
        moved = name != "shuffled"
        batches = training_batches(
            pictures, truth, weights, batch_size=batch,
            augmentation=AUGMENTATIONS[pipeline.augmentation] if moved else NO_AUGMENTATION,
            side_px=pipeline.side_px if moved else None, mix=pipeline.mix if moved else "none",
            seed=0, epoch=epoch,
        )  # fmt: skip
        if name == "cached":
            batches = batches.take(1).cache().repeat(steps)
        watch = Stopwatch()
        with watch.running():
            network.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0)
        return watch

    names = ("cached", "augmented") if pipeline.side_px else ("cached", "shuffled", "augmented")
    times: dict[str, list[Stopwatch]] = {name: [] for name in names}
    for epoch in range(ROUNDS + 1):
        for name in names:
            watch = time_of(name, epoch)
            if epoch:  # the first traces the network
                times[name].append(watch)

    def median_of(name: str) -> tuple[float, float]:
        return (
            statistics.median(watch.seconds for watch in times[name]),
            statistics.median(watch.cpu_s for watch in times[name]),
        )

    step_s, step_cpu_s = median_of("cached")
    print(f"{pipeline.architecture} at {side_px} px, {pipeline.augmentation}:")
    for name in names:
        seconds, cpu_s = median_of(name)
        print(
            f"  {name}: {steps * batch / seconds:,.0f} pictures/s, {step_s / seconds:.0%} of the "
            f"step alone; by the processor's seconds {steps * batch / cpu_s:,.0f} and "
            f"{step_cpu_s / cpu_s:.0%} (medians of {ROUNDS})"
        )


def _photographs() -> tuple[Pixels, Truth]:
    """Return noise of the size of photographs: what is in them does not change the time."""
    random = np.random.default_rng(0)
    count = PHOTOGRAPHS.batch * PHOTOGRAPHS.steps
    pictures = random.integers(0, 256, (count, PHOTO_SIDE_PX, PHOTO_SIDE_PX, 3), dtype=np.uint8)
    return pictures, random.integers(0, CLASSES, count, dtype=np.int32)


if __name__ == "__main__":
    main()
