"""`manage.py work`: do the jobs that wait, until Ctrl-C or SIGTERM."""

from typing import Any

from django.core.management.base import BaseCommand

from recognition.worker import JobWorker


class Command(BaseCommand):
    help = (
        "Do the jobs that wait: trainings, and whatever happens in the background. "
        "`manage.py serve` does this too, unless LACEWING_JOBS is false."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        JobWorker().run()
