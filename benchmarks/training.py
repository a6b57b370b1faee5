"""How fast training learns, as ratios within one run.

`python -m benchmarks.training --data mnist.npz` measures two things on MNIST's layout
(`x_train, y_train, x_test, y_test`):

- seconds from the untrained network to 99.0 % of the test digits, of the recipe of `retrain
  --quick`, beside the convolutional network of Keras's own introduction (two convolutions,
  two poolings, dropout; Adam, batches of 128);
- pictures/s of whole epochs, with shuffling and augmentation, as a share of the training
  step alone on one batch that is already there.

Importing TensorFlow and scoring the test digits are left out of every time.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from ml.architectures import build_network
from ml.augmentation import AUGMENTATIONS, NO_AUGMENTATION
from ml.config import TrainingConfig
from ml.optimizers import build_loss, build_optimizer
from ml.pipeline import training_batches
from ml.precision import fastest_policy
from ml.recipes import recipe_for
from ml.training import TrainingData, train

BATCH = 128
CLASSES = 10
GOAL = 0.99
MOST_EPOCHS = 12  # of the network of the introduction
QUICK_EPOCHS = (1, 2, 3)  # of ours; the first that reaches the goal counts
STEPS = 120  # timed at once
ROUNDS = 5

Pixels = npt.NDArray[np.uint8]
Truth = npt.NDArray[np.int32]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="mnist.npz")
    arguments = parser.parse_args()
    with np.load(arguments.data) as stored:
        train_pictures, train_truth = stored["x_train"][..., None], stored["y_train"]
        test_pictures, test_truth = stored["x_test"][..., None], stored["y_test"]
    print(
        f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores, "
        f"{fastest_policy()}; load average {os.getloadavg()[0]:.1f}"
    )
    ours_s = _seconds_of_ours(
        train_pictures, train_truth.astype(np.int32), test_pictures, test_truth.astype(np.int32)
    )
    theirs_s = _seconds_of_the_introduction(train_pictures, train_truth, test_pictures, test_truth)
    print(f"to {GOAL:.1%}: ours {ours_s:.1f} s, Keras's introduction {theirs_s:.1f} s, "
          f"ratio {ours_s / theirs_s:.2f}")  # fmt: skip
    _measure_pipeline(train_pictures, train_truth.astype(np.int32))


def _seconds_of_ours(
    train_pictures: Pixels, train_truth: Truth, test_pictures: Pixels, test_truth: Truth
) -> float:
    """Return the time of the shortest of our schedules that reaches the goal."""
    recipe = recipe_for("cnn")
    held_out = 1_000  # judged after each epoch, as in every training
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
            seed=0,
            augmentation="none",
            optimizer=recipe.optimizer,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
        )
        started_s = time.monotonic()
        with tempfile.TemporaryDirectory() as workspace:
            trained = train(data, config, workspace=Path(workspace), progress=False)
        seconds = time.monotonic() - started_s
        logits = trained.network.predict(test_pictures, batch_size=500, verbose=0)
        accuracy = float(np.mean(logits.argmax(axis=1) == test_truth))
        print(f"ours, {epochs} epoch(s): {accuracy:.2%} of {len(test_truth):,} in {seconds:.1f} s")
        if accuracy >= GOAL:
            return seconds
    raise SystemExit(f"Our recipe did not reach {GOAL:.1%}.")


def _seconds_of_the_introduction(
    train_pictures: Pixels, train_truth: Truth, test_pictures: Pixels, test_truth: Truth
) -> float:
    """Train the introduction's network until an epoch ends above the goal."""
    keras.utils.set_random_seed(0)
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
    seconds = 0.0
    for epoch in range(MOST_EPOCHS):
        started_s = time.monotonic()
        network.fit(scaled, train_truth, batch_size=BATCH, epochs=1, verbose=0)
        seconds += time.monotonic() - started_s
        accuracy = network.evaluate(scaled_test, test_truth, batch_size=500, verbose=0)[1]
        print(f"introduction, {epoch + 1} epoch(s): {accuracy:.2%} in {seconds:.1f} s")
        if accuracy >= GOAL:
            return seconds
    raise SystemExit(f"The introduction's network did not reach {GOAL:.1%}.")


def _measure_pipeline(pictures: Pixels, truth: Truth) -> None:
    """Time the step alone and whole epochs in turn, so that both see the same machine."""
    pictures, truth = pictures[: STEPS * BATCH], truth[: STEPS * BATCH]
    weights = np.ones(CLASSES, np.float32)
    recipe = recipe_for("cnn")
    config = TrainingConfig(
        architecture="cnn", weights="none", epochs=1, batch_size=BATCH, seed=0,
        augmentation="drawings", learning_rate=recipe.learning_rate / 100,
    )  # fmt: skip
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(fastest_policy())
    try:
        network = build_network("cnn", pictures.shape[1:], CLASSES, "none")
    finally:
        keras.config.set_dtype_policy(previous)
    network.compile(
        build_optimizer(config, STEPS), build_loss("cross_entropy", label_smoothing=0.1)
    )

    def seconds_of(name: str, epoch: int) -> float:
        batches = training_batches(
            pictures, truth, weights, batch_size=BATCH,
            augmentation=AUGMENTATIONS.get(name, NO_AUGMENTATION), seed=0, epoch=epoch,
        )  # fmt: skip
        if name == "cached":
            batches = batches.take(1).cache().repeat(STEPS)
        started_s = time.monotonic()
        network.fit(batches, steps_per_epoch=STEPS, verbose=0)
        return time.monotonic() - started_s

    names = ("cached", "none", "drawings")
    times: dict[str, list[float]] = {name: [] for name in names}
    for epoch in range(ROUNDS + 1):
        for name in names:
            seconds = seconds_of(name, epoch)
            if epoch:  # the first traces the network
                times[name].append(seconds)
    step_s = statistics.median(times["cached"])
    for name in names:
        seconds = statistics.median(times[name])
        print(
            f"{name}: {STEPS * BATCH / seconds:,.0f} pictures/s, {step_s / seconds:.0%} of the "
            f"step alone (median of {ROUNDS})"
        )


if __name__ == "__main__":
    main()
