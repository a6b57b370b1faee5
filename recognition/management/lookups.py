"""Find the rows that a command's arguments name, or say which exist."""

import re

from django.core.management.base import CommandError

from recognition.models import ModelVersion, Recognizer

_VERSION = re.compile(r"[vV]?([1-9][0-9]{0,8})")


def find_recognizer(slug: str) -> Recognizer:
    """Return the recognizer with the slug.

    Raises:
        CommandError: there is none; names those that exist.
    """
    try:
        return Recognizer.objects.get(slug=slug)
    except Recognizer.DoesNotExist:
        slugs = ", ".join(Recognizer.objects.order_by("slug").values_list("slug", flat=True))
        existing = f"These exist: {slugs}." if slugs else "None exists yet: retrain creates one."
        raise CommandError(f'There is no recognizer "{slug}". {existing}') from None


def find_version(recognizer: Recognizer, version: str) -> ModelVersion:
    """Return the recognizer's version, written as "3" or "v3".

    Raises:
        CommandError: it is no version number, or there is no such version; names those that
            exist.
    """
    match = _VERSION.fullmatch(version)
    found = recognizer.versions.filter(number=int(match[1])).first() if match else None
    if found is not None:
        return found
    numbers = recognizer.versions.order_by("number").values_list("number", flat=True)
    existing = ", ".join(f"v{number}" for number in numbers) or "none yet"
    raise CommandError(f'"{recognizer.slug}" has no version "{version}". These exist: {existing}.')
