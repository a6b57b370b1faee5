"""manage.py delete_expired: delete the uploads that are older than their recognizer keeps them."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from recognition import erasing, retention


class Command(BaseCommand):
    """Do at once what a worker does every minute, or say what it would do."""

    help = "Delete the uploads that are older than their recognizer keeps them."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the options."""
        parser.add_argument("--dry-run", action="store_true", help="count them, and delete nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Count or delete, recognizer by recognizer."""
        recognizers = list(retention.recognizers_that_forget())
        if not recognizers:
            self.stdout.write("Every recognizer keeps its uploads: none has a number of days set.")
        for recognizer in recognizers:
            self.stdout.write(
                f"{recognizer.slug}: {retention.expired(recognizer).count()} uploads are older "
                f"than {recognizer.retention_days} days."
            )
        if options["dry_run"]:
            return
        self.stdout.write(f"Deleted: {retention.delete_expired(None)}.")
        if left := erasing.follow_up_all():
            self.stdout.write(f"A training under way still reads {left} deleted pictures.")
