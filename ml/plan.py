"""From what a person asked for and what the pictures are like to one full recipe."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np

from ml.architectures import (
    Architecture,
    NetworkOptions,
    architecture_named,
    build_network,
    check_options,
)
from ml.architectures.weights import parse_weights
from ml.augmentation import augmentation_named, mirror_changes_meaning
from ml.config import TrainingConfig
from ml.dataset import Dataset, read_pixels
from ml.errors import TrainingError
from ml.preprocessing import Fit, Preprocessing
from ml.recipes import REFERENCE_BATCH, recipe_for
from ml.training_options import TrainingOptions

LOOKED_AT = 64  # pictures, spread over the data set, that tell their size and colour
SMALL_SIDE_PX = 64  # pictures no larger than this are learned from scratch
GREY_TOLERANCE = 8  # largest difference between channels of a picture that counts as grey
DRAWING_SIDE_PX = 28  # MNIST's
WIDEST_INK = 0.6  # narrower than training shows it: docs/networks.md
EPOCHS_REFINE, MOST_EPOCHS_REFINE = 4, 15
STEPS_REFINE = 300  # wanted in all, so that few pictures are seen more often
BATCH_REFINE = 64
MINIMUM_BATCHES = 20  # an epoch, so that little data still makes many steps
QUICK_SIZE_PX = 176  # of photographs: 88 % of the pests in 37 s; docs/networks.md
REFINE_RATE, REFINE_DECAY = 5e-4, 0.02
REFINE_RATE_FEW, FEW_PICTURES = 1e-3, 2_000  # fewer than these have more to learn from each
LABEL_SMOOTHING = 0.1
# Without and with a backbone, the first unless asked: those of ImageNet were cropped.
FITS = (("stretch", "letterbox", "crop"), ("crop", "stretch", "letterbox"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A recipe, and the pictures it is for."""

    config: TrainingConfig
    preprocessing: Preprocessing
    fingerprint: str
    reasons: tuple[str, ...] = ()
    """Why it was chosen, for people: one line each."""

    def save(self, path: Path) -> None:
        """Write the plan, so that a resumed training follows it."""
        written = {
            "config": self.config.to_dict(),
            "preprocessing": self.preprocessing.to_dict(),
            "fingerprint": self.fingerprint,
            "reasons": self.reasons,
        }
        part = path.with_suffix(".part")
        part.write_text(json.dumps(written, indent=2))
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises TrainingError("nothing_to_resume") where there is no plan.
        """
        try:
            written: Mapping[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            raise TrainingError(
                "nothing_to_resume",
                "There is no interrupted training to resume. Run again without --resume.",
            ) from None
        return cls(
            config=TrainingConfig.from_dict(written["config"]),
            preprocessing=Preprocessing.from_dict(written["preprocessing"]),
            fingerprint=written["fingerprint"],
            reasons=tuple(written["reasons"]),
        )

    def lines(self) -> list[str]:
        """Say in three lines what was chosen and why, for people."""
        return list(self.reasons)


def make_plan(dataset: Dataset, options: TrainingOptions) -> Plan:
    """Fill in whatever `options` leaves open from the pictures themselves.

    Small pictures get a network from scratch at their own size, photographs an ImageNet
    backbone at 224 px. Raises TrainingError for options that cannot be followed, before
    anything is trained.
    """
    look = _look(dataset)
    drawings = _choice("pictures", options.pictures, ("photos", "drawings")) == "drawings"
    small = drawings or look.side_px <= SMALL_SIDE_PX
    kind = "drawings" if drawings else "grey" if small and look.is_grey else "photos"
    name = options.architecture or ("cnn" if small else "mobilenet_v2")
    architecture = architecture_named(name)
    shape = options.shape()
    check_options(name, shape)
    weights = options.weights or ("imagenet" if architecture.recipe == "transfer" else "none")
    parsed = parse_weights(weights)
    transfer = architecture.recipe == "transfer" and parsed != "none"
    size_px = _size_px(architecture, options, look.side_px, small=small, drawings=drawings)
    grey = architecture.recipe != "transfer" and (look.is_grey or drawings)
    config = _config(
        dataset,
        options,
        architecture=name,
        weights=str(parsed),
        shape=shape,
        transfer=transfer,
        small=small,
        kind=kind,
    )
    input_shape = (size_px, size_px, 1 if grey else 3)
    config = replace(
        config, train_side_px=_train_side_px(config, input_shape, len(dataset.labels), shape)
    )
    color = "grey" if grey else "colour"
    return Plan(
        config=config,
        preprocessing=Preprocessing(
            height_px=size_px,
            width_px=size_px,
            color="grey" if grey else "rgb",
            fit=cast("Fit", _choice("fit", options.fit, FITS[transfer])),
            ink=drawings,
            widest_ink=WIDEST_INK if drawings else 1.0,
        ),
        fingerprint=dataset.fingerprint,
        reasons=(
            f"Network: {name}{_told(shape)} at {size_px}×{size_px} px {color}, "
            f"{_why_network(options, look, drawings=drawings, small=small, transfer=transfer)}.",
            f"Training: {_how(config, architecture, transfer=transfer)}.",
            f"Augmentation: {_movement(config, dataset.labels)}.",
        ),
    )


def _config(
    dataset: Dataset,
    options: TrainingOptions,
    *,
    architecture: str,
    weights: str,
    shape: NetworkOptions,
    transfer: bool,
    small: bool,
    kind: str,
) -> TrainingConfig:
    recipe = recipe_for(architecture)
    pictures = len(dataset.of_split("train"))
    scratch_batch = REFERENCE_BATCH if small else recipe.batch_photos
    largest_batch = BATCH_REFINE if transfer else scratch_batch
    chosen_batch = max(8, min(largest_batch, pictures // MINIMUM_BATCHES))
    batch_size = min(chosen_batch if options.batch_size is None else options.batch_size, pictures)
    steps = pictures // max(1, batch_size)
    if options.epochs is not None:
        epochs = options.epochs
    elif options.quick:
        epochs = 0 if transfer else 1
    elif transfer:
        epochs = min(max(EPOCHS_REFINE, round(STEPS_REFINE / steps)), MOST_EPOCHS_REFINE)
    else:
        epochs = recipe.epochs_small if small else recipe.epochs_for(pictures)
    if transfer:
        rate = REFINE_RATE_FEW if pictures < FEW_PICTURES else REFINE_RATE
        rate, decay = rate * (batch_size / BATCH_REFINE) ** 0.5, REFINE_DECAY
    else:
        rate, decay = recipe.rate_for(batch_size), recipe.weight_decay
    asked: dict[str, Any] = {
        "mix": options.mix,
        "loss": options.loss,
        "optimizer": options.optimizer,
        "schedule": options.schedule,
        "learning_rate": options.learning_rate,
        "weight_decay": options.weight_decay,
        "label_smoothing": options.label_smoothing,
        "l2": options.l2,
        "ema": options.ema,
        "patience": options.patience,
    }
    defaults: dict[str, Any] = {
        "optimizer": "adamw" if transfer else recipe.optimizer,
        "schedule": "triangular" if transfer else recipe.schedule,
        "learning_rate": rate,
        "weight_decay": decay,
        "label_smoothing": LABEL_SMOOTHING if transfer else recipe.label_smoothing,
    }
    augmented = transfer or (recipe.augmented and not options.quick)
    mirror = not mirror_changes_meaning(dataset.labels)
    if kind == "photos" and not (small or transfer or options.quick):
        defaults["mix"] = recipe.mix_photos
        defaults["mirror_averaged"] = recipe.mirror_averaged and mirror
    augmentation = _augmentation(options.augmentation, kind, augmented=augmented)
    if augmentation == "photos" and not (small or transfer or options.augmentation):
        augmentation = recipe.augmentation_photos
    return TrainingConfig(
        architecture=architecture,
        weights=weights,
        options=shape.to_dict(),
        epochs=epochs,
        batch_size=batch_size,
        seed=options.seed,
        augmentation=augmentation,
        mirror=mirror,
        **(defaults | {key: value for key, value in asked.items() if value is not None}),
    )


def _size_px(
    architecture: Architecture,
    options: TrainingOptions,
    side_px: int,
    *,
    small: bool,
    drawings: bool,
) -> int:
    if options.image_size_px is not None:
        return options.image_size_px
    if small and architecture.recipe != "transfer":
        return max(DRAWING_SIDE_PX if drawings else side_px, architecture.least_size_px)
    if options.quick:
        return min(QUICK_SIZE_PX, architecture.image_size_px)
    return architecture.image_size_px


def _train_side_px(
    config: TrainingConfig, input_shape: tuple[int, int, int], classes: int, shape: NetworkOptions
) -> int | None:
    """Return the side of training crops, where the recipe wants them smaller than is served."""
    share = recipe_for(config.architecture).train_side
    if share == 1 or augmentation_named(config.augmentation, mirror=False).crop == 1:
        return None
    side_px = round(share * input_shape[0])
    served, learned = (
        [
            weight.shape
            for weight in build_network(
                config.architecture, (side, side, input_shape[2]), classes, "none", shape
            ).weights
        ]
        for side in (input_shape[0], side_px)
    )
    return side_px if learned == served else None  # a smaller picture may ask for other layers


def _augmentation(asked: str | None, kind: str, *, augmented: bool) -> str:
    strength = _choice("augmentation", asked, ("auto", "none", "light", "strong"))
    if strength == "none" or (strength == "auto" and not augmented):
        return "none"
    return kind if strength == "auto" else f"{kind}_{strength}"


def _why_network(
    options: TrainingOptions, look: "_Look", *, drawings: bool, small: bool, transfer: bool
) -> str:
    if options.architecture is not None:
        return "as asked"
    if drawings:
        return "because the pictures are drawings"
    if small:
        return f"because the pictures are small ({look.side_px} px)"
    learned = "learned from ImageNet" if transfer else "without ImageNet's weights"
    return f"{learned}, because the pictures are photographs ({look.side_px} px)"


def _how(config: TrainingConfig, architecture: Architecture, *, transfer: bool) -> str:
    if architecture.recipe == "memorise":
        return "none, it keeps the pictures themselves"
    steps = (
        f"{config.epochs} {'epoch' if config.epochs == 1 else 'epochs'} in batches of "
        f"{config.batch_size}, {config.optimizer} at {config.learning_rate:.2g} "
        f"({config.schedule}), loss {config.loss}, seed {config.seed}"
    )
    if config.train_side_px is not None:
        steps += f", crops learned from at {config.train_side_px} px"
    if config.mirror_averaged:
        steps += ", answers averaged with the mirror image's"
    if not transfer:
        return steps
    head = "a new head on the backbone's features, computed once"
    return f"{head}, then {steps} of the top blocks" if config.epochs else head


def _movement(config: TrainingConfig, labels: tuple[str, ...]) -> str:
    if config.augmentation == "none":
        moved = "none"
    else:
        moved = config.augmentation.replace("_", ", ")
        if not augmentation_named(config.augmentation, mirror=config.mirror).mirror:
            moved += ", never mirrored"
            if not config.mirror:
                moved += f' because "{labels[0]}" mirrored would be something else'
    return moved if config.mix == "none" else f"{moved}, {config.mix}"


def _told(shape: NetworkOptions) -> str:
    given = shape.to_dict()
    return f" ({', '.join(f'{key} {value}' for key, value in given.items())})" if given else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    side_px: int
    """Median longer side of some pictures."""
    is_grey: bool
    """Whether all of them are."""


def _look(dataset: Dataset) -> _Look:
    step = max(1, len(dataset.examples) // LOOKED_AT)
    pictures = [read_pixels(example) for example in dataset.examples[::step]]
    sides = [max(pixels.shape[:2]) for pixels in pictures]
    is_grey = all(int(np.ptp(pixels, axis=2).max()) <= GREY_TOLERANCE for pixels in pictures)
    return _Look(side_px=int(np.median(sides)), is_grey=is_grey)


def _choice(name: str, value: str | None, allowed: tuple[str, ...]) -> str:
    if value is None:
        return allowed[0]
    if value not in allowed:
        raise TrainingError(
            f"bad_{name}", f"Received {name} {value!r}. Allowed: {', '.join(allowed)}."
        )
    return value
