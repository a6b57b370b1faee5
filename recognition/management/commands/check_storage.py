"""`check_storage`: whether rows and files agree."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from recognition.management.tables import aligned, printable
from recognition.storage_check import SETTLED_AFTER_S, Finding, check_storage, delete_orphan


class Command(BaseCommand):
    """Name every picture and version folder that is missing, altered or without a row."""

    help = (
        "Compare rows and files both ways, with SHA-256: pictures and version folders that are "
        "missing, altered, without a row, or left over from a write that was cut off. "
        "The exit status is 1 where something is wrong."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what to do with files that no row names."""
        parser.add_argument(
            "--delete-orphans",
            action="store_true",
            help=(
                "delete pictures, version folders and leftovers that no row names, except "
                f"those younger than {SETTLED_AFTER_S // 60} minutes, which an upload or a "
                "training may still be writing"
            ),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what is wrong; delete orphans where asked."""
        report = check_storage()
        remaining = list(report.findings)
        rows = [[f.fault.value, printable(str(f.path)), printable(f.detail)] for f in remaining]
        if rows:
            self.stdout.write(aligned(rows))
        if options["delete_orphans"]:
            remaining = [finding for finding in remaining if not self._delete(finding)]
        compared = f"{report.pictures} pictures and {report.versions} versions compared"
        if remaining:
            raise CommandError(f"{compared}; {len(remaining)} wrong.")
        self.stdout.write(self.style.SUCCESS(f"{compared}; nothing wrong."))

    def _delete(self, finding: Finding) -> bool:
        """Return whether the finding is settled, and tell what was done."""
        if not finding.has_no_row:
            return False
        path = printable(str(finding.path))
        try:
            deleted = delete_orphan(finding)
        except OSError as error:
            self.stderr.write(f"{path} cannot be deleted: {error.strerror}")
            return False
        self.stdout.write(f"deleted {path}" if deleted else f"kept {path}: too young")
        return deleted
