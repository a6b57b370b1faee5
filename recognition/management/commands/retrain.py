"""`retrain SLUG`: train a version, compare it with the active one, let the better one serve."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from recognition.management.recipe import (
    NETWORK_OPTIONS,
    add_network_arguments,
    add_recipe_arguments,
)
from recognition.management.training import add_training_arguments, request_fields, run_training
from recognition.tasks import RetrainRequest, retrain


class Command(BaseCommand):
    """Retrain a recognizer, or create it with its first version."""

    help = (
        "Train a recognizer on labelled pictures and its reviewed predictions; the new version "
        "is activated unless it is worse than the active one beyond noise."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the recognizer, its pictures and whatever is to differ from the best recipe."""
        add_training_arguments(parser)
        parser.add_argument("--architecture", help="the network, as cnn or mobilenet_v2")
        add_recipe_arguments(parser)
        add_network_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Train, and say what was activated and why."""
        request = RetrainRequest(**request_fields(options, "architecture", *NETWORK_OPTIONS))
        run_training(self, lambda: retrain(request))
