"""What `retrain` and `compare` share: their arguments, and what they say at the end."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ml.errors import LacewingError
from ml.named_sets import NAMED_SETS
from recognition.management.recipe import RECIPE_OPTIONS
from recognition.tasks import RetrainOutcome

OPTIONS = ("image_size_px", "epochs", "weights", "pictures", "seed", *RECIPE_OPTIONS)


def add_training_arguments(parser: CommandParser) -> None:
    """Take the recognizer, its pictures and what may differ from the best recipe."""
    parser.add_argument("slug", help="the recognizer; created if it is new")
    add_data_argument(parser, more_help="; remembered for next time")
    parser.add_argument("--image-size", type=positive, metavar="PX", dest="image_size_px")
    parser.add_argument(
        "--epochs",
        type=not_negative,
        help="of the whole network from scratch, or of the refine phase on a backbone",
    )
    parser.add_argument("--weights", help="imagenet, none, or a .weights.h5 file")
    parser.add_argument(
        "--pictures",
        choices=("photos", "drawings"),
        help="drawings are cropped to their ink, made light on dark, and never mirrored",
    )
    parser.add_argument("--seed", type=not_negative)
    parser.add_argument("--resume", action="store_true", help="go on where it was interrupted")
    parser.add_argument(
        "--activate",
        choices=("auto", "never", "force"),
        default="auto",
        help="auto: unless it is worse than the active version beyond noise",
    )
    parser.add_argument("--name", default="", help="the name that people see")
    parser.add_argument(
        "--serving-only", action="store_true", help="leave model.keras out of the version"
    )
    parser.add_argument("--note", action="append", default=[], help="a sentence for the model card")


def add_data_argument(
    parser: CommandParser, *, more_help: str = "", required: bool = False
) -> None:
    """Take the pictures; `located` makes them fit for another process."""
    parser.add_argument(
        "--data",
        nargs="+",
        type=Path,
        default=[],
        required=required,
        metavar="DIR|ZIP|CSV|NPZ|NAME",
        help="a folder with a folder of pictures for every class, a zip of one, a .csv with the "
        "columns path and label (and split, if wanted), an .npz with x_train, y_train, x_test, "
        f"y_test, or a set to download: {', '.join(NAMED_SETS)}; a file or folder of that name "
        f"wins{more_help}",
    )


def request_fields(options: dict[str, Any], *more_options: str) -> dict[str, Any]:
    """Return the fields of a `RetrainRequest`; `more_options` are a command's own options."""
    asked = {name: options[name] for name in (*OPTIONS, *more_options)}
    if asked["weights"] not in (None, "imagenet", "none"):
        # Absolute, so that the next training finds it again.
        asked["weights"] = str(Path(asked["weights"]).expanduser().resolve())
    return {
        "slug": options["slug"],
        "name": options["name"],
        "sources": options["data"],
        "options": asked,
        "activate": options["activate"],
        "resume": options["resume"],
        "serving_only": options["serving_only"],
        "notes": options["note"],
    }


def run_training(command: BaseCommand, job: Callable[[], RetrainOutcome]) -> None:
    """Do the job; say what was activated and why, or raise CommandError with the reason."""
    try:
        outcome = job()
    except LacewingError as error:
        raise CommandError(error.message) from error
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from error
    except KeyboardInterrupt:
        raise CommandError(
            "Stopped. Nothing was activated; run again with --resume to go on.",
            returncode=130,
        ) from None
    style = command.style.SUCCESS if outcome.activated else command.style.WARNING
    state = "is active" if outcome.activated else "is kept, not active"
    command.stdout.write(style(f"{outcome.version} {state}."))
    for reason in outcome.reasons:
        command.stdout.write(f"  {reason}")


def not_negative(text: str) -> int:
    """Read a whole number from 0."""
    return _at_least(0, text)


def positive(text: str) -> int:
    """Read a whole number from 1."""
    return _at_least(1, text)


def _at_least(least: int, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise ArgumentTypeError(f"Received {text!r}. Allowed: a whole number from {least}.")
    return value
