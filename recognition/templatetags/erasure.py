"""What the admin says before it deletes uploads."""

from django import template
from django.db.models import QuerySet

from recognition import erasing
from recognition.models import ModelVersion, Prediction

register = template.Library()


@register.simple_tag
def learned_versions(
    deleted: Prediction | QuerySet[Prediction],
) -> list[tuple[ModelVersion, list[str]]]:
    """Return the versions that learned from one of the uploads, each with files that show some."""
    chosen = [deleted.pk] if isinstance(deleted, Prediction) else deleted
    return [
        (version, erasing.picture_files(version))
        for version in erasing.versions_that_learned(chosen)
    ]
