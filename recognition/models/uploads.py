"""How often a client uploads."""

from django.db import models
from django.utils.translation import gettext_lazy as _


class UploadCount(models.Model):
    """Uploads of one client address in one minute; kept for a few minutes only."""

    client = models.CharField(
        _("client"), max_length=64, help_text=_("Keyed hash of the address, never the address.")
    )
    minute = models.PositiveBigIntegerField(_("minutes since 1970"))
    count = models.PositiveIntegerField(_("uploads"))

    class Meta:
        verbose_name = _("upload count")
        verbose_name_plural = _("upload counts")
        constraints = (
            models.UniqueConstraint(fields=["client", "minute"], name="one_count_per_minute"),
        )
        indexes = (models.Index(fields=["minute"], name="upload_count_minute"),)

    def __str__(self) -> str:
        return f"{self.client[:8]} {self.minute}: {self.count}"
