"""manage.py check_receipt: whether and when an upload was deleted, and what learned from it."""

from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from recognition import erasing
from recognition.models import Prediction


class Command(BaseCommand):
    """Answer for one id; exit status 1 where nothing proves a deletion."""

    help = "Say whether the upload with this id was deleted, and which versions learned from it."

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare the id."""
        parser.add_argument("id", type=UUID, help="id of the prediction, as in its address")

    def handle(self, *args: Any, **options: Any) -> None:
        """Look for the receipt that the id makes."""
        prediction_id: UUID = options["id"]
        receipt = erasing.find_receipt(prediction_id)
        if receipt is None:
            if Prediction.objects.filter(pk=prediction_id).exists():
                raise CommandError(f"{prediction_id} is stored: it was not deleted.")
            raise CommandError(
                f"There is no receipt for {prediction_id}. Either nothing with this id was ever "
                "stored, or it was deleted under a secret key that is no longer known."
            )
        self.stdout.write(
            f"{prediction_id} of {receipt.recognizer.slug} was deleted on "
            f"{receipt.erased_at:%Y-%m-%d %H:%M} UTC (by: {receipt.get_cause_display()}).\n"
            f"Receipt: {receipt.receipt}"
        )
        versions = erasing.versions_that_learned([prediction_id])
        if not versions:
            self.stdout.write("No version learned from it.")
        for version in versions:
            files = ", ".join(erasing.picture_files(version))
            shown = f"; these of its files may show the picture: {files}" if files else ""
            self.stdout.write(f"{version} learned from it{shown}.")
