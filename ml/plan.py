"""From what a person asked for and what the pictures are like to one full recipe."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from ml.architectures import architecture_named
from ml.architectures.weights import parse_weights
from ml.dataset import Dataset, read_pixels
from ml.errors import TrainingError
from ml.preprocessing import Preprocessing
from ml.training import TrainingConfig

LOOKED_AT = 64  # pictures, spread over the data set, that tell their size and colour
SMALL_SIDE_PX = 64  # pictures no larger than this are learned from scratch
GREY_TOLERANCE = 8  # largest difference between channels of a picture that counts as grey
DRAWING_SIDE_PX = 28  # MNIST's
EPOCHS_SMALL, EPOCHS_SCRATCH = 8, 30
EPOCHS_REFINE, MOST_EPOCHS_REFINE = 3, 6
STEPS_REFINE = 300  # wanted in all, so that few pictures are seen more often
BATCH_SCRATCH, BATCH_REFINE = 128, 32
MINIMUM_BATCHES = 20  # an epoch, so that little data still makes many steps


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """What a person may ask for; None leaves the choice to `make_plan`."""

    architecture: str | None = None
    image_size_px: int | None = None
    epochs: int | None = None
    weights: str | None = None
    pictures: str | None = None
    """"photos" or "drawings": drawings are cropped to their ink and never mirrored."""
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A recipe, and the pictures it is for."""

    config: TrainingConfig
    preprocessing: Preprocessing
    fingerprint: str

    def save(self, path: Path) -> None:
        """Write the plan, so that a resumed training follows it."""
        fields = {
            "config": self.config.to_dict(),
            "preprocessing": self.preprocessing.to_dict(),
            "fingerprint": self.fingerprint,
        }
        part = path.with_suffix(".part")
        part.write_text(json.dumps(fields, indent=2))
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises TrainingError("nothing_to_resume") where there is no plan.
        """
        try:
            fields: Mapping[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            raise TrainingError(
                "nothing_to_resume",
                "There is no interrupted training to resume. Run again without --resume.",
            ) from None
        return cls(
            config=TrainingConfig(**fields["config"]),
            preprocessing=Preprocessing.from_dict(fields["preprocessing"]),
            fingerprint=fields["fingerprint"],
        )

    def lines(self) -> list[str]:
        """Say what was chosen, for people."""
        config, size = self.config, self.preprocessing
        return [
            f"Architecture {config.architecture}, weights {Path(config.weights).name}, "
            f"{size.width_px}×{size.height_px} px {size.color}.",
            f"{config.epochs} epochs in batches of {config.batch_size}, augmentation "
            f"{config.augmentation}, seed {config.seed}.",
        ]


def make_plan(dataset: Dataset, options: TrainingOptions) -> Plan:
    """Fill in whatever `options` leaves open from the pictures themselves.

    Small pictures get a network from scratch at their own size, photographs an ImageNet
    backbone at 224 px. Raises TrainingError for options that cannot be followed, before
    anything is trained.
    """
    side_px, is_grey = _look(dataset)
    drawings = _choice("pictures", options.pictures, ("photos", "drawings")) == "drawings"
    small = drawings or side_px <= SMALL_SIDE_PX
    name = options.architecture or ("cnn" if small else "mobilenet_v2")
    architecture = architecture_named(name)
    weights = options.weights or ("imagenet" if architecture.recipe == "transfer" else "none")
    parsed = parse_weights(weights)
    scratch = architecture.recipe == "scratch" or parsed == "none"
    training_pictures = len(dataset.of_split("train"))
    if options.image_size_px is not None:
        size_px = options.image_size_px
    elif drawings:
        size_px = DRAWING_SIDE_PX
    elif small and architecture.recipe == "scratch":
        size_px = side_px
    else:
        size_px = architecture.image_size_px
    if options.epochs is not None:
        epochs = options.epochs
    elif scratch:
        epochs = EPOCHS_SMALL if small else EPOCHS_SCRATCH
    else:
        steps = max(1, training_pictures // BATCH_REFINE)
        epochs = min(max(EPOCHS_REFINE, round(STEPS_REFINE / steps)), MOST_EPOCHS_REFINE)
    grey = architecture.recipe == "scratch" and (is_grey or drawings)
    largest_batch = BATCH_SCRATCH if scratch else BATCH_REFINE
    return Plan(
        config=TrainingConfig(
            architecture=name,
            weights=str(parsed),
            epochs=epochs,
            batch_size=max(8, min(largest_batch, training_pictures // MINIMUM_BATCHES)),
            seed=options.seed,
            augmentation="drawings" if small else "photos",
        ),
        preprocessing=Preprocessing(
            height_px=size_px,
            width_px=size_px,
            color="grey" if grey else "rgb",
            ink=drawings,
        ),
        fingerprint=dataset.fingerprint,
    )


def _look(dataset: Dataset) -> tuple[int, bool]:
    """Return the median longer side in px of some pictures, and whether all are grey."""
    step = max(1, len(dataset.examples) // LOOKED_AT)
    pictures = [read_pixels(example) for example in dataset.examples[::step]]
    sides = [max(pixels.shape[:2]) for pixels in pictures]
    is_grey = all(int(np.ptp(pixels, axis=2).max()) <= GREY_TOLERANCE for pixels in pictures)
    return int(np.median(sides)), is_grey


def _choice(name: str, value: str | None, allowed: tuple[str, ...]) -> str:
    if value is None:
        return allowed[0]
    if value not in allowed:
        raise TrainingError(
            f"bad_{name}", f"Received {name} {value!r}. Allowed: {', '.join(allowed)}."
        )
    return value
