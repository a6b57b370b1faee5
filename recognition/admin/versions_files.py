"""What a version is made of: its files to take away, and the pictures it learned from."""

from typing import Final

from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern
from django.utils.translation import gettext_lazy as _

from ml.artifact import verified_file
from ml.errors import ArtifactError
from recognition.admin.version_pages import VersionPages
from recognition.models import ModelVersion, SnapshotItem
from recognition.serving import metadata_sha256

LABELS_NAME: Final = "labels.txt"
DOWNLOADS: Final = {
    "model.tflite": "application/octet-stream",
    "model.keras": "application/octet-stream",
    LABELS_NAME: "text/plain; charset=utf-8",
    "card.md": "text/markdown; charset=utf-8",
    "report.json": "application/json",
    "examples.csv.gz": "application/gzip",
}
ITEMS_A_PAGE: Final = 100


class FilePages(VersionPages):
    """Downloads and the snapshot of a version."""

    def get_urls(self) -> list[URLPattern]:
        """Add both."""
        return [
            self.route("<int:version_id>/download/<str:name>", self.download_view, "download"),
            self.route("<int:version_id>/snapshot/", self.snapshot_view, "snapshot"),
            *super().get_urls(),
        ]

    def download_view(self, request: HttpRequest, version_id: int, name: str) -> HttpResponseBase:
        """Send one of the files named in `DOWNLOADS`, verified first, to be saved."""
        version = self.version_to_see(request, version_id)
        if name not in DOWNLOADS:
            raise Http404
        filename = f"{version.recognizer.slug}-v{version.number}-{name}"
        headers = {
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "Cache-Control": "private, no-store",
        }
        if name == LABELS_NAME:
            headers["Content-Disposition"] = f'attachment; filename="{filename}"'
            text = "".join(f"{label}\n" for label in version.labels)
            return HttpResponse(text, content_type=DOWNLOADS[name], headers=headers)
        try:
            if metadata_sha256(version.path) != version.metadata_sha256:
                raise Http404
            path = verified_file(version.path, name)
        except ArtifactError as error:
            raise Http404 from error
        if path is None:
            raise Http404
        return FileResponse(
            path.open("rb"),
            as_attachment=True,
            filename=filename,
            content_type=DOWNLOADS[name],
            headers=headers,
        )

    def snapshot_view(self, request: HttpRequest, version_id: int) -> HttpResponse:
        """List the reviewed pictures that the version learned from or was tested on."""
        version = self.version_to_see(request, version_id)
        run = getattr(version, "training_run", None)
        items = SnapshotItem.objects.filter(run=run) if run else SnapshotItem.objects.none()
        page = Paginator(items.order_by("id"), ITEMS_A_PAGE).get_page(request.GET.get("page"))
        return self.render(
            request,
            "snapshot",
            _("Data of %(version)s") % {"version": version},
            version=version,
            run=run,
            page=page,
            has_examples="examples.csv.gz" in downloads_of(version),
        )


def downloads_of(version: ModelVersion) -> list[str]:
    """Return the names in `DOWNLOADS` that there are to send."""
    return [name for name in DOWNLOADS if name == LABELS_NAME or (version.path / name).is_file()]
