"""What the folder of a model version holds, for its page in the admin."""

from dataclasses import dataclass
from pathlib import Path

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ml.artifact import METADATA_NAME, read_artifact
from ml.errors import ArtifactError
from recognition.models import ModelVersion
from recognition.serving import metadata_sha256

FIGURES: dict[str, Promise] = {
    "training_curves": _("Training curves"),
    "confusion_matrix": _("Confusion matrix: what was taken for what"),
}
PAGES: dict[str, Promise] = {
    "report": _("Report: figures with the pictures behind them"),
    "health": _("Health of the pictures it learned from"),
}
CARD_NAME = "card.md"
MAX_CARD_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFolder:
    """A version's folder as it stands on disk now."""

    fault: str  # why it must not be served; empty where it is intact
    card: str
    files: tuple[tuple[str, int], ...]  # name, size in bytes
    figures: tuple[tuple[str, Promise], ...]  # key of `FIGURES`, title
    pages: tuple[tuple[str, Promise], ...]  # key of `PAGES`, title


def read_folder(version: ModelVersion) -> VersionFolder:
    """Return what the folder holds; a folder that is broken or gone is described, not raised."""
    fault = ""
    listed: frozenset[str] = frozenset()
    try:
        listed = frozenset(read_artifact(version.path).files)
        if metadata_sha256(version.path) != version.metadata_sha256:
            fault = f"{METADATA_NAME} is not the one that was registered."
    except ArtifactError as error:
        fault = error.message
    files = _files(version.path)
    names = {name for name, _size in files}
    return VersionFolder(
        fault=fault,
        card=_card(version.path),
        files=files,
        figures=tuple(item for item in FIGURES.items() if f"{item[0]}.png" in names),
        pages=tuple(item for item in PAGES.items() if f"{item[0]}.html" in listed),
    )


def read_page(version: ModelVersion, page: str) -> bytes | None:
    """Return an HTML page of the folder.

    None where `page` is no key of `PAGES`, the folder is broken or another one than was
    registered, or its metadata does not vouch for the page.
    """
    name = f"{page}.html"
    if page not in PAGES:
        return None
    try:
        if metadata_sha256(version.path) != version.metadata_sha256:
            return None
        if name not in read_artifact(version.path).files:
            return None
        return (version.path / name).read_bytes()
    except (ArtifactError, OSError):
        return None


def _files(directory: Path) -> tuple[tuple[str, int], ...]:
    try:
        return tuple(sorted((file.name, file.stat().st_size) for file in directory.iterdir()))
    except OSError:
        return ()


def _card(directory: Path) -> str:
    try:
        with (directory / CARD_NAME).open("rb") as file:
            return file.read(MAX_CARD_BYTES).decode(errors="replace")
    except OSError:
        return ""
