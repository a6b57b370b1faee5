"""The options of `retrain` and `compare` that differ from the best recipe known."""

import argparse

from django.core.management.base import CommandParser

NETWORK_OPTIONS = (
    "layers",
    "activation",
    "depth",
    "width",
    "dropout",
    "neighbours",
    "distance",
)
RECIPE_OPTIONS = (
    "quick",
    "fit",
    "augmentation",
    "mix",
    "batch_size",
    "loss",
    "label_smoothing",
    "optimizer",
    "schedule",
    "learning_rate",
    "weight_decay",
    "l2",
    "ema",
    "patience",
)


def add_recipe_arguments(parser: CommandParser) -> None:
    """Take what may differ from the recipe that fits the pictures and the network."""
    group = parser.add_argument_group("training", "all chosen for the pictures unless given")
    group.add_argument(
        "--quick",
        action="store_true",
        default=None,
        help="a first answer in the least time: one epoch, or only a new head on a backbone",
    )
    group.add_argument(
        "--fit",
        choices=("stretch", "letterbox", "crop"),
        help="how a picture comes to be square: crop for backbones, else stretch",
    )
    group.add_argument("--augmentation", choices=("auto", "none", "light", "strong"))
    group.add_argument("--mix", choices=("none", "mixup", "cutmix", "both"))
    group.add_argument(
        "--batch-size",
        type=_batch_size,
        metavar="N",
        help="pictures a step, from 1; all: the whole set at once",
    )
    group.add_argument("--loss", choices=("cross_entropy", "hinge", "mse"))
    group.add_argument("--label-smoothing", type=float, metavar="P")
    group.add_argument("--optimizer", choices=("sgd", "adamw", "muon"))
    group.add_argument("--schedule", choices=("constant", "cosine", "triangular"))
    group.add_argument("--learning-rate", type=float, metavar="RATE")
    group.add_argument("--weight-decay", type=float, metavar="RATE")
    group.add_argument("--l2", type=float, metavar="RATE", help="penalty on squared weights")
    group.add_argument(
        "--ema", type=float, metavar="SHARE", help="keep a running mean of the weights, as 0.99"
    )
    group.add_argument(
        "--patience", type=int, metavar="EPOCHS", help="stop after so many without improvement"
    )


def add_network_arguments(parser: CommandParser) -> None:
    """Take the shape of the network; each architecture says which of these it takes."""
    group = parser.add_argument_group("network", "each for the architectures that take it")
    group.add_argument(
        "--layers", type=_layers, metavar="N,N", help="units of the hidden layers, as 256,128"
    )
    group.add_argument("--activation", choices=("relu", "tanh", "sigmoid"))
    group.add_argument("--depth", type=int, metavar="N")
    group.add_argument("--width", type=int, metavar="N")
    group.add_argument("--dropout", type=float, metavar="P")
    group.add_argument("--neighbours", type=int, metavar="K")
    group.add_argument("--distance", choices=("l1", "l2"))


def _layers(text: str) -> list[int]:
    try:
        return [int(units) for units in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"Received {text!r}. Allowed: whole numbers with commas between, as 256,128."
        ) from None


WHOLE_SET = 1_000_000_000  # more than any set has, so that all of it is one batch


def _batch_size(text: str) -> int:
    if text == "all":
        return WHOLE_SET
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"Received {text!r}. Allowed: a whole number from 1, or all."
        ) from None
