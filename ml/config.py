"""Everything that decides what a training does, stored with the version it made."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, get_args

from ml.augmentation import AUGMENTATIONS
from ml.errors import TrainingError
from ml.mixing import Mix

Loss = Literal["cross_entropy", "hinge", "mse"]
Optimizer = Literal["sgd", "adamw", "muon"]
Schedule = Literal["constant", "cosine", "triangular"]

MOST_EPOCHS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """One full recipe. Raises TrainingError("bad_<field>") for a value out of range."""

    architecture: str
    weights: str
    """"imagenet", "none" or the path of a `.weights.h5` file."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What `NetworkOptions.to_dict` gives."""
    epochs: int
    """Epochs of the whole network (from scratch) or of the refine phase (transfer)."""
    batch_size: int
    """Pictures a step; more than there are means all of them."""
    seed: int
    augmentation: str
    """A key of `ml.augmentation.AUGMENTATIONS`."""
    mirror: bool = True
    """Whether pictures may be mirrored, where the augmentation does that."""
    train_side_px: int | None = None
    """Of the augmented pictures, where smaller than those that are judged and served."""
    mirror_averaged: bool = False
    """Whether the network that is served looks at each picture and at its mirror image."""
    mix: Mix = "none"
    loss: Loss = "cross_entropy"
    label_smoothing: float = 0.1
    """Probability taken from the true class and spread (Szegedy et al. 2016)."""
    optimizer: Optimizer = "sgd"
    schedule: Schedule = "triangular"
    learning_rate: float = 0.3
    """The highest that the schedule reaches."""
    weight_decay: float = 5e-4
    """Decoupled from the loss (Loshchilov & Hutter 2019), times the learning rate a step."""
    l2: float = 0.0
    """Penalty on the squares of the weights, added to the loss."""
    ema: float = 0.0
    """Share that the running mean of the weights keeps at a step; 0: no mean is kept."""
    patience: int = 0
    """Epochs without improvement after which training stops; 0: never."""

    def __post_init__(self) -> None:
        _check_choice("augmentation", self.augmentation, tuple(AUGMENTATIONS))
        _check_choice("mix", self.mix, get_args(Mix))
        _check_choice("loss", self.loss, get_args(Loss))
        _check_choice("optimizer", self.optimizer, get_args(Optimizer))
        _check_choice("schedule", self.schedule, get_args(Schedule))
        _check_range("epochs", self.epochs, 0, MOST_EPOCHS)
        _check_range("batch_size", self.batch_size, 1, None)
        _check_range("patience", self.patience, 0, MOST_EPOCHS)
        _check_range("label_smoothing", self.label_smoothing, 0, 0.9)
        _check_range("learning_rate", self.learning_rate, 1e-9, 100)
        _check_range("weight_decay", self.weight_decay, 0, 10)
        _check_range("l2", self.l2, 0, 10)
        _check_range("ema", self.ema, 0, 0.99999)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from what `to_dict` gave."""
        return cls(**values)


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise TrainingError(
            f"bad_{name}", f"Received {name} {value!r}. Allowed: {', '.join(allowed)}."
        )


def _check_range(name: str, value: float, least: float, most: float | None) -> None:
    if not (least <= value and (most is None or value <= most)):
        allowed = f"{least:g} or more" if most is None else f"{least:g} to {most:g}"
        raise TrainingError(f"bad_{name}", f"Received {name} {value!r}. Allowed: {allowed}.")
