"""`activate SLUG VERSION`: let a model version serve."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ml.errors import LacewingError
from recognition import gating
from recognition.management.lookups import find_recognizer, find_version


class Command(BaseCommand):
    """Activate one version; every server process takes it within seconds."""

    help = "Let a model version serve, after checking that it loads."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the recognizer and the version."""
        parser.add_argument("slug", help="the recognizer")
        parser.add_argument("version", help="the version's number, such as 3 or v3")
        parser.add_argument(
            "--note", default="", help="why, kept on record; needed for one that is worse"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Activate, or leave everything as it was and say why."""
        version = find_version(find_recognizer(options["slug"]), options["version"])
        try:
            gating.activate_by_person(version, None, options["note"])
        except LacewingError as error:
            raise CommandError(f"{version} was not activated. {error.message}") from error
        self.stdout.write(self.style.SUCCESS(f"{version} is active."))
