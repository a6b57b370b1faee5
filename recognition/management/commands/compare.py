"""`compare SLUG`: train several networks, choose on validation, let the chosen one serve."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ml.contenders import parse_contenders
from ml.errors import LacewingError
from recognition.management.recipe import add_recipe_arguments
from recognition.management.training import (
    add_training_arguments,
    positive,
    request_fields,
    run_training,
)
from recognition.tasks import CompareRequest, compare


class Command(BaseCommand):
    """Compare architectures on a recognizer's pictures, or create it with the best of them."""

    help = (
        "Train several candidates on the same pictures and choose the one that does best on the "
        "validation pictures; only that one meets the test pictures. It becomes a version, which "
        "is activated unless it is worse than the active one beyond noise."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what is compared, and what holds for all of it."""
        add_training_arguments(parser)
        parser.add_argument(
            "--architectures",
            nargs="+",
            default=[],
            metavar="NAME[:KEY=VALUE,…]",
            help="what to compare: linear,mlp,cnn or, with options, one word each: "
            "cnn:depth=2,width=64 cnn:depth=8,width=32",
        )
        parser.add_argument(
            "--seeds",
            type=positive,
            default=1,
            help="how many times each is trained; the mean decides (default 1)",
        )
        add_recipe_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare, and say what was activated and why."""
        try:
            resumed = options["resume"] and not options["architectures"]
            contenders = () if resumed else parse_contenders(options["architectures"])
        except LacewingError as error:
            raise CommandError(error.message) from error
        request = CompareRequest(
            **request_fields(options), contenders=contenders, seeds=options["seeds"]
        )
        run_training(self, lambda: compare(request))
