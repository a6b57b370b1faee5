"""`rollback SLUG`: let the version that served before serve again."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ml.errors import LacewingError
from recognition import services
from recognition.management.lookups import find_recognizer


class Command(BaseCommand):
    """Activate the newest earlier version that has served before."""

    help = "Go back to the newest version before the active one that has served before."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the recognizer."""
        parser.add_argument("slug", help="the recognizer")

    def handle(self, *args: Any, **options: Any) -> None:
        """Roll back, or leave everything as it was and say why."""
        recognizer = find_recognizer(options["slug"])
        try:
            version = services.rollback(recognizer)
        except LacewingError as error:
            raise CommandError(f"Nothing was rolled back. {error.message}") from error
        self.stdout.write(self.style.SUCCESS(f"{version} is active again."))
