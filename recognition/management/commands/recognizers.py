"""`recognizers`: which recognizers and versions exist, and how good they are."""

import json
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from recognition.management.tables import aligned
from recognition.models import ModelVersion, Recognizer

MISSING = "-"
HEADINGS = ("recognizer", "version", "active", "architecture", "test accuracy", "n", "created")


class Command(BaseCommand):
    """List every recognizer with its versions and what was measured."""

    help = "List the recognizers with their versions and metrics."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the form of the output."""
        parser.add_argument("--json", action="store_true", help="for programs: one JSON array")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the list; an empty one says how to begin."""
        recognizers = list(Recognizer.objects.order_by("slug").prefetch_related("versions"))
        if options["json"]:
            self.stdout.write(json.dumps([_as_json(r) for r in recognizers], indent=2))
        elif not recognizers:
            self.stdout.write('None yet. Train one: "python manage.py retrain SLUG --data DIR".')
        else:
            self.stdout.write(aligned([HEADINGS, *(row for r in recognizers for row in _rows(r))]))


def _as_json(recognizer: Recognizer) -> dict[str, Any]:
    return {
        "slug": recognizer.slug,
        "name": recognizer.name,
        "versions": [_version_as_json(version) for version in recognizer.versions.all()],
    }


def _version_as_json(version: ModelVersion) -> dict[str, Any]:
    return {
        "number": version.number,
        "active": version.is_active,
        "architecture": version.architecture,
        "labels": version.labels,
        "metrics": version.metrics,
        "created_at": version.created_at.isoformat(),
        "activated_at": version.activated_at.isoformat() if version.activated_at else None,
        "directory": str(version.path),
    }


def _rows(recognizer: Recognizer) -> list[Sequence[str]]:
    versions = recognizer.versions.all()
    if not versions:
        return [(recognizer.slug, *[MISSING] * (len(HEADINGS) - 1))]
    return [
        (
            recognizer.slug,
            f"v{version.number}",
            "yes" if version.is_active else "",
            version.architecture,
            _accuracy(version.metrics),
            str(version.metrics.get("n", MISSING)),
            f"{version.created_at:%Y-%m-%d %H:%M}",
        )
        for version in versions
    ]


def _accuracy(metrics: dict[str, Any]) -> str:
    """Return accuracy and interval as fractions, as every command prints probabilities."""
    if "accuracy" not in metrics:
        return MISSING
    interval = metrics.get("accuracy_interval")
    text = f"{metrics['accuracy']:.4f}"
    return f"{text} ({interval[0]:.4f} to {interval[1]:.4f})" if interval else text
