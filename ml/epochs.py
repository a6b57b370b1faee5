"""A live bar for one epoch: epoch, loss, validation accuracy, pictures/s, time left."""

from typing import Any

import keras
from tqdm import tqdm

from ml.checkpoint import Arrays, HistoryRow
from ml.progress import progress_bar


class EpochBar(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows one epoch while it runs, and sums it up as a history row."""

    def __init__(self, phase: str, epoch: int, epochs: int, *, batch_size: int, show: bool) -> None:
        super().__init__()
        self.phase = phase
        self.epoch = epoch
        self.epochs = epochs
        self.batch_size = batch_size
        self.show = show
        self.weights: Arrays = []
        """The network's at the end, before Keras puts their running mean in their place."""
        self._bar: tqdm[Any] | None = None
        self._logs: dict[str, float] = {}
        self._steps = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Open the bar."""
        self._bar = progress_bar(
            None,
            f"{self.phase} {self.epoch + 1}/{self.epochs}",
            self.params["steps"] * self.batch_size,
            show=self.show,
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Advance the bar by the steps up to `batch`, which may be several."""
        self._logs = dict(logs or {})
        done, self._steps = batch + 1 - self._steps, batch + 1
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{self._logs['loss']:.3f}", refresh=False)
            self._bar.update(done * self.batch_size)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keep the weights."""
        self.weights = self.model.get_weights()

    def finish(self, val_loss: float, val_accuracy: float, seconds: float) -> HistoryRow:
        """Close the bar with the validation figures and return the epoch's row."""
        images_per_s = self.params["steps"] * self.batch_size / max(seconds, 1e-9)
        if self._bar is not None:
            self._bar.set_postfix(
                loss=f"{self._logs['loss']:.3f}",
                val_loss=f"{val_loss:.3f}",
                val_accuracy=f"{val_accuracy:.4f}",
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
