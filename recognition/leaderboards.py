"""The page on which the networks that `compare` trained stand side by side."""

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any, Final, Self

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_http_methods

from ml.artifact import METADATA_NAME, ArtifactMetadata
from ml.errors import ArtifactError
from ml.leaderboard import LEADERBOARD_NAME, Leaderboard, LeaderboardRow
from recognition.models import ModelVersion, Recognizer

SCALE_STEP: Final = 0.05  # the ends of the scale are multiples of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The stretch of accuracies on which all intervals of a page lie, both in [0, 1]."""

    low: float
    high: float

    @classmethod
    def around(cls, rows: list[LeaderboardRow]) -> Self:
        """Return the scale that holds the intervals of the rows and has round ends."""
        low = math.floor(min(row.interval[0] for row in rows) / SCALE_STEP) * SCALE_STEP
        high = math.ceil(max(row.interval[1] for row in rows) / SCALE_STEP) * SCALE_STEP
        return cls(low=max(0.0, low), high=min(1.0, high))

    def place(self, accuracy: float) -> float:
        """Return where an accuracy lies on the scale, from 0 to 1."""
        return (accuracy - self.low) / (self.high - self.low)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A trained candidate as the page draws it: places on the scale, from 0 to 1."""

    row: LeaderboardRow
    options: str
    dot: float
    start: float
    length: float

    @classmethod
    def of(cls, row: LeaderboardRow, scale: Scale) -> Self:
        """Return the entry of a row."""
        start, end = map(scale.place, row.interval)
        return cls(
            row=row,
            options=str(row.contender).partition(":")[2].replace(",", ", "),
            dot=scale.place(row.accuracy),
            start=start,
            length=end - start,
        )


@require_http_methods(["GET", "HEAD"])
def leaderboard(request: HttpRequest, slug: str) -> HttpResponse:
    """Show what the recognizer's newest comparison found, or that of `?version=`.

    Models: `Recognizer`, its `ModelVersion` rows.
    Template: `recognition/leaderboard.html`.
    Context: `recognizer`; `version` and `board`, both None where nothing was compared yet;
    `entries` of the trained candidates, best first; `failed` rows; `scale`.
    """
    chosen = get_object_or_404(Recognizer, slug=slug)
    found = _asked_for(chosen, request.GET.get("version"))
    context: dict[str, Any] = {"recognizer": chosen, "version": None, "board": None}
    if found is not None:
        version, board = found
        trained = [row for row in board.rows if not row.error]
        scale = Scale.around(trained)
        context |= {
            "version": version,
            "board": board,
            "entries": [Entry.of(row, scale) for row in trained],
            "failed": [row for row in board.rows if row.error],
            "scale": scale,
        }
    return render(request, "recognition/leaderboard.html", context)


def has_leaderboard(recognizer: Recognizer) -> bool:
    """Return whether a version of the recognizer came out of a comparison. One SQL query."""
    return any((version.path / LEADERBOARD_NAME).is_file() for version in recognizer.versions.all())


def read_leaderboard(version: ModelVersion) -> Leaderboard | None:
    """Return the comparison that made the version; None where there was none, or it is damaged.

    Only a file that the metadata vouches for counts.
    """
    try:
        content = (version.path / LEADERBOARD_NAME).read_bytes()
        metadata = ArtifactMetadata.from_dict(
            json.loads((version.path / METADATA_NAME).read_bytes())
        )
        if metadata.files.get(LEADERBOARD_NAME) != hashlib.sha256(content).hexdigest():
            return None
        return Leaderboard.from_dict(json.loads(content))
    except (OSError, ValueError, RecursionError, ArtifactError):
        return None


def _asked_for(
    recognizer: Recognizer, number: str | None
) -> tuple[ModelVersion, Leaderboard] | None:
    versions = recognizer.versions.order_by("-number")
    if number is not None:
        if not number.isdecimal() or len(number) > 9:
            raise Http404
        versions = versions.filter(number=int(number))
    for version in versions:
        board = read_leaderboard(version)
        if board is not None:
            return version, board
    if number is not None:
        raise Http404
    return None
