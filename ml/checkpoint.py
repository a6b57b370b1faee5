"""What a training has reached, on disk after every epoch, so that little is ever lost."""

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras

HistoryRow = dict[str, float | int | str]
Arrays = list[npt.NDArray[Any]]


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far one phase of a training has come."""

    phase: str
    epoch: int = 0
    """Epochs that are done."""
    weights: Arrays = field(default_factory=list)
    optimizer: Arrays = field(default_factory=list)
    first_weights: Arrays = field(default_factory=list)
    """What the phase began with, where that is still wanted at its end."""
    best_weights: Arrays = field(default_factory=list)
    best_score: tuple[float, float] = (-math.inf, -math.inf)
    """What the epoch of `best_weights` is chosen by; larger is better."""
    history: list[HistoryRow] = field(default_factory=list)
    """A row for every epoch of every phase so far."""

    def capture(self, network: "keras.Model", weights: Arrays | None = None) -> None:
        """Remember the network's weights, or those given, and the optimizer's variables."""
        self.weights = network.get_weights() if weights is None else weights
        self.optimizer = [variable.numpy() for variable in network.optimizer.variables]

    def apply(self, network: "keras.Model") -> None:
        """Give the variables back to a compiled network of the same architecture.

        The optimizer is built first: one that is not built yet would silently drop its
        slots and its step count.
        """
        network.set_weights(self.weights)
        network.optimizer.build(network.trainable_variables)
        for variable, value in zip(network.optimizer.variables, self.optimizer, strict=True):
            variable.assign(value)


@dataclass(frozen=True, slots=True)
class CheckpointStore:
    """One file that is replaced whole, so that a kill leaves the epoch before."""

    path: Path

    def save(self, progress: Progress) -> None:
        """Write `progress` durably, then let it take the place of the last one."""
        groups = {
            "weights": progress.weights,
            "optimizer": progress.optimizer,
            "first_weights": progress.first_weights,
            "best_weights": progress.best_weights,
        }
        arrays = {
            f"{group}/{position}": array
            for group, members in groups.items()
            for position, array in enumerate(members)
        }
        state = {
            "phase": progress.phase,
            "epoch": progress.epoch,
            "best_score": progress.best_score,
            "history": progress.history,
            "lengths": {group: len(members) for group, members in groups.items()},
        }
        part = self.path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, state=np.array(json.dumps(state)), **arrays)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)

    def load(self) -> Progress | None:
        """Read the last whole checkpoint, or None when there is none."""
        if not self.path.exists():
            return None
        with np.load(self.path, allow_pickle=False) as stored:
            state = json.loads(str(stored["state"]))
            groups = {
                group: [stored[f"{group}/{position}"] for position in range(length)]
                for group, length in state["lengths"].items()
            }
        return Progress(
            phase=state["phase"],
            epoch=state["epoch"],
            best_score=tuple(state["best_score"]),
            history=state["history"],
            **groups,
        )
