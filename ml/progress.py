"""A live bar for one epoch: epoch, loss, validation accuracy, pictures/s, time left."""

import sys
from typing import Any

import keras
from tqdm import tqdm

from ml.checkpoint import HistoryRow

PIPE_INTERVAL_S = 10.0  # between lines when nobody watches a terminal


class EpochBar(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows one epoch while it runs, and sums it up as a history row."""

    def __init__(self, phase: str, epoch: int, epochs: int, *, show: bool) -> None:
        super().__init__()
        self.phase = phase
        self.epoch = epoch
        self.epochs = epochs
        self.show = show
        self._bar: tqdm[Any] | None = None
        self._logs: dict[str, float] = {}

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Open the bar."""
        self._bar = tqdm(
            total=self.params.get("steps"),
            desc=f"{self.phase} {self.epoch + 1}/{self.epochs}",
            unit="batch",
            disable=not self.show,
            mininterval=0.2 if sys.stderr.isatty() else PIPE_INTERVAL_S,
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Advance the bar."""
        self._logs = dict(logs or {})
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{self._logs['loss']:.3f}", refresh=False)
            self._bar.update()

    def finish(
        self, pictures: int, val_loss: float, val_accuracy: float, seconds: float
    ) -> HistoryRow:
        """Close the bar with the validation figures and return the epoch's row."""
        images_per_s = pictures / max(seconds, 1e-9)
        if self._bar is not None:
            self._bar.set_postfix(
                loss=f"{self._logs['loss']:.3f}",
                val_accuracy=f"{val_accuracy:.4f}",
                img_per_s=f"{images_per_s:.0f}",
            )
            self._bar.close()
        return {
            "phase": self.phase,
            "epoch": self.epoch + 1,
            "loss": self._logs["loss"],
            "accuracy": self._logs["accuracy"],
            "val_loss": val_loss,
            "val_accuracy": val_accuracy,
            "seconds": seconds,
            "images_per_s": images_per_s,
        }
