"""The Django app that recognises, stores and reviews."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RecognitionConfig(AppConfig):
    """Register the system checks; loading classifiers waits for the first use of `serving`."""

    name = "recognition"
    verbose_name = _("Recognition")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Import the checks, which need loaded models."""
        from recognition import checks  # noqa: F401
