"""`retrain SLUG`: train a version, compare it with the active one, let the better one serve."""

from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ml.errors import LacewingError
from recognition.tasks import RetrainRequest, retrain


class Command(BaseCommand):
    """Retrain a recognizer, or create it with its first version."""

    help = (
        "Train a recognizer on labelled pictures and its reviewed predictions; the new version "
        "is activated unless it is worse than the active one beyond noise."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the recognizer, its pictures and whatever is to differ from the best recipe."""
        parser.add_argument("slug", help="the recognizer; created if it is new")
        parser.add_argument(
            "--data",
            nargs="+",
            type=Path,
            default=[],
            metavar="DIR|ZIP|NPZ",
            help="a folder with a folder of pictures for every class, a zip of one, or an .npz "
            "with x_train, y_train, x_test, y_test; remembered for next time",
        )
        parser.add_argument("--architecture", help="cnn, mobilenet_v2 or mobilenet_v3_small")
        parser.add_argument("--image-size", type=_positive, metavar="PX", dest="image_size_px")
        parser.add_argument(
            "--epochs",
            type=_not_negative,
            help="of the whole network from scratch, or of the refine phase on a backbone",
        )
        parser.add_argument("--weights", help="imagenet, none, or a .weights.h5 file")
        parser.add_argument(
            "--pictures",
            choices=("photos", "drawings"),
            help="drawings are cropped to their ink, made light on dark, and never mirrored",
        )
        parser.add_argument("--seed", type=_not_negative)
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
        parser.add_argument(
            "--note", action="append", default=[], help="a sentence for the model card"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Train, and say what was activated and why."""
        asked = ("architecture", "image_size_px", "epochs", "weights", "pictures", "seed")
        request = RetrainRequest(
            slug=options["slug"],
            name=options["name"],
            sources=options["data"],
            options={key: _absolute(key, options[key]) for key in asked},
            activate=options["activate"],
            resume=options["resume"],
            serving_only=options["serving_only"],
            notes=options["note"],
        )
        try:
            outcome = retrain(request)
        except LacewingError as error:
            raise CommandError(error.message) from error
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        except KeyboardInterrupt:
            raise CommandError(
                "Stopped. Nothing was activated; run again with --resume to go on.",
                returncode=130,
            ) from None
        style = self.style.SUCCESS if outcome.activated else self.style.WARNING
        state = "is active" if outcome.activated else "is kept, not active"
        self.stdout.write(style(f"{outcome.version} {state}."))
        for reason in outcome.reasons:
            self.stdout.write(f"  {reason}")


def _absolute(key: str, value: Any) -> Any:
    """Return a weights file's absolute path, so that the next training finds it again."""
    if key == "weights" and value not in (None, "imagenet", "none"):
        return str(Path(value).expanduser().resolve())
    return value


def _not_negative(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value
