"""`inspect_data`: what a person should know about their pictures before training on them."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from ml.errors import LacewingError
from ml.health_page import render_health
from recognition.data_sets import read_data_set
from recognition.management.training import add_data_argument


class Command(BaseCommand):
    """Look at labelled pictures as a training would, and train nothing."""

    help = (
        "Say what is remarkable about labelled pictures: counts, copies, near duplicates, "
        "unreadable, tiny, blurred and blank ones. Nothing is trained or stored."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the pictures, and where to write the page."""
        add_data_argument(parser, required=True)
        parser.add_argument(
            "--html", type=Path, metavar="FILE", help="also write a page with the pictures"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the findings; write the page if asked."""
        page: Path | None = options["html"]
        if page is not None and (page.is_dir() or not page.parent.is_dir()):
            raise CommandError(f"--html: {page} must be a file in a folder that exists.")
        sources: list[Path] = options["data"]
        try:
            dataset = read_data_set(sources)
            content = None
            if page is not None:
                content = render_health(dataset, title=", ".join(path.name for path in sources))
        except LacewingError as error:
            raise CommandError(error.message) from error
        for line in dataset.health.lines():
            self.stdout.write(line)
        if page is not None and content is not None:
            try:
                page.write_bytes(content)
            except OSError as error:
                raise CommandError(f"--html: {page} cannot be written: {error}") from error
            self.stdout.write(self.style.SUCCESS(f"Wrote {page}."))
