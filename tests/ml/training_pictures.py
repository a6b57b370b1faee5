"""Small made-up pictures whose class is easy to see, for networks to learn in seconds."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from ml.fitting import TrainingData

COLORS = {"blue": (40, 60, 210), "green": (40, 200, 70), "red": (220, 50, 40)}
LABELS = tuple(sorted(COLORS))


def colored_pictures(
    per_class: int, side_px: int, *, channels: int = 3, seed: int = 0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Return noisy pictures (n, side, side, channels) of one colour each, and their classes."""
    noise = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(LABELS), dtype=np.int32), per_class)
    colors = np.array([COLORS[label] for label in LABELS])[truth][:, None, None, :]
    if channels == 1:
        colors = np.array([30, 120, 220])[truth][:, None, None, None]
    pictures = colors + noise.normal(0, 20, (len(truth), side_px, side_px, channels))
    return np.clip(pictures, 0, 255).astype(np.uint8), truth


def training_data(per_class: int, side_px: int, *, channels: int = 3) -> TrainingData:
    """Return such pictures as training and validation data."""
    train, train_truth = colored_pictures(per_class, side_px, channels=channels, seed=0)
    validation, validation_truth = colored_pictures(
        max(2, per_class // 3), side_px, channels=channels, seed=1
    )
    return TrainingData(
        labels=LABELS,
        train=train,
        train_truth=train_truth,
        validation=validation,
        validation_truth=validation_truth,
    )


def write_folder(root: Path, per_class: int, *, side_px: int = 40, seed: int = 0) -> Path:
    """Write such pictures as a folder of PNG files for every class."""
    pictures, truth = colored_pictures(per_class, side_px, seed=seed)
    for number, (pixels, position) in enumerate(zip(pictures, truth, strict=True)):
        folder = root / LABELS[position]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return root
