"""What the folder of a version says about its comparison with the incumbent, for its pages."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.urls import reverse

from ml.artifact import read_listed
from ml.comparison import Flip
from ml.errors import ArtifactError
from ml.flips import FlippedPicture, Flips, Look, read_flips
from ml.pages import data_uri
from recognition.models import REVIEWED_NAME, ModelVersion, Prediction
from recognition.serving import metadata_sha256
from recognition.versions import REPORT_NAME

MAX_REPORT_BYTES = 64 * 1024 * 1024
FLIPS_A_PAGE = 12
TINY_PX = 64  # smaller pictures are drawings: shown pixel by pixel


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassRow:
    """How one class moved, as the table shows it."""

    label: str
    support: int
    old_recall: float
    new_recall: float
    gained: int
    lost: int
    p: float
    worse: bool
    is_new: bool
    """The incumbent does not know the class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One flipped picture with both looks as addresses that an `img` can show."""

    flip: Flip
    picture: str
    old_overlay: str
    """Empty where the incumbent does not say where it looked."""
    new_overlay: str
    width_px: int
    height_px: int

    @property
    def is_tiny(self) -> bool:
        """Whether it is shown pixel by pixel."""
        return max(self.width_px, self.height_px) < TINY_PX


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipList:
    """One page of the flips of a kind."""

    page: "Page[FlippedPicture]"
    cards: list[Card]
    left_out: int
    """So many more flipped than were kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What there is to see of a comparison."""

    fault: str
    """Why the folder cannot be read; empty where it can."""
    classes: list[ClassRow]
    flips: Flips | None


def read_evidence(version: ModelVersion, incumbent: ModelVersion | None) -> Evidence:
    """Return what the folder says; one that is damaged is described, not raised."""
    try:
        if metadata_sha256(version.path) != version.metadata_sha256:
            return Evidence(fault="The folder is not the registered one.", classes=[], flips=None)
        report = read_listed(version.path, REPORT_NAME, max_bytes=MAX_REPORT_BYTES)
        classes = _classes(report, incumbent)
        return Evidence(fault="", classes=classes, flips=read_flips(version.path))
    except ArtifactError as error:
        return Evidence(fault=error.message, classes=[], flips=None)


def flip_list(flips: Sequence[FlippedPicture], in_all: int, number: object) -> FlipList:
    """Return page `number` of the flips; one out of range means the last."""
    page = Paginator(flips, FLIPS_A_PAGE).get_page(number)  # type: ignore[arg-type]
    uploads = _pictures_of_uploads(page)
    return FlipList(
        page=page,
        cards=[_card(one, uploads.get(one.flip.name, "")) for one in page],
        left_out=max(0, in_all - len(flips)),
    )


def _pictures_of_uploads(flips: Iterable[FlippedPicture]) -> dict[str, str]:
    """Return the names of those that are uploads with the addresses of their pictures.

    One that was deleted has none. One SQL query.
    """
    ids: dict[UUID, str] = {}
    for one in flips:
        try:
            ids[UUID(one.flip.name.removeprefix(REVIEWED_NAME))] = one.flip.name
        except ValueError:
            continue
    there = Prediction.objects.filter(pk__in=ids).values_list("pk", flat=True)
    return {ids[pk]: reverse("recognition:picture", args=[pk]) for pk in there}


def _classes(report: bytes | None, incumbent: ModelVersion | None) -> list[ClassRow]:
    """Return the classes of the report's comparison, those that lost most first."""
    known = set(incumbent.labels) if incumbent else set()
    try:
        comparison: Any = json.loads(report or b"{}").get("comparison") or {}
        rows = [
            ClassRow(
                label=str(one["label"]),
                support=int(one["support"]),
                old_recall=float(one["old_recall"]),
                new_recall=float(one["new_recall"]),
                gained=int(one["gained"]),
                lost=int(one["lost"]),
                p=float(one["p"]),
                worse=bool(one["worse"]),
                is_new=incumbent is not None and one["label"] not in known,
            )
            for one in comparison.get("per_class", ())
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            "bad_metadata", f"{REPORT_NAME} holds no comparison that can be read ({error!r})."
        ) from error
    return sorted(rows, key=lambda row: (not row.worse, row.new_recall - row.old_recall, row.label))


def _card(one: FlippedPicture, upload: str) -> Card:
    return Card(
        flip=one.flip,
        picture=data_uri(one.jpeg, "image/jpeg") if one.jpeg else upload,
        old_overlay=_overlay(one, one.old_look),
        new_overlay=_overlay(one, one.new_look),
        width_px=one.width_px,
        height_px=one.height_px,
    )


def _overlay(one: FlippedPicture, look: Look | None) -> str:
    return "" if look is None else data_uri(one.overlay(look), "image/png")
