"""The report on a version: `report.html` for people, `report.json` for programs.

Pictures are shown as they were prepared, so that what is seen is what the network saw.
"""

import dataclasses
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from ml.comparison import Flip
from ml.examples import Example
from ml.findings import Mistake, PictureOf, ReportContents, phases
from ml.pages import data_uri, render_page, thumbnail_uri
from ml.plots import learning_curve_figure, reliability_diagram, training_curves

MAX_PICTURES_BYTES = 2_200_000  # of data URIs; with figures and tables the page stays below 3 MB
MAX_MISTAKES = 24
MAX_SUSPICIONS = 48
MAX_FLIPS = 12  # of each kind
MAX_OF_A_CELL = 12
MAX_TABLE_CLASSES = 60  # a wider matrix helps nobody; its cells are listed all the same
MAX_LISTED = 500  # mistakes and suspicions in the JSON
SHEET_SIDE_PX = 1000

PNG = "image/png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A picture on the page with what is said below it."""

    uri: str
    name: str
    lines: tuple[str, ...]

    @property
    def alt(self) -> str:
        """What those hear who do not see it."""
        return "; ".join(self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Pictures, and how many there would be more."""

    shown: tuple[Shown, ...]
    left_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """An off-diagonal cell of the confusion matrix that is not empty."""

    anchor: str
    label: str
    given: str
    count: int
    gallery: Gallery


def render_report(contents: ReportContents) -> bytes:
    """Return the report as one HTML file of at most about 3 MB that fetches nothing."""
    album = _Album(contents.picture_of)
    # In the order of worth: what comes last goes without pictures once the room is used up.
    mistakes = album.gallery(
        [(one.example, _mistake_lines(one)) for one in contents.mistakes], MAX_MISTAKES
    )
    suspicions = album.gallery(
        [
            (
                one.example,
                (
                    f"labelled {one.example.label}",
                    f"looks like {one.likely}",
                    f"score {one.score:.2f}",
                ),
            )
            for one in contents.suspicions
        ],
        MAX_SUSPICIONS,
    )
    lost, gained = _flips(contents, album)
    cells = _cells(contents, album)
    metadata = contents.metadata
    return render_page(
        "report.html",
        contents=contents,
        metadata=metadata,
        evaluation=contents.evaluation,
        counts=metadata.dataset.get("counts", {}),
        mistakes=mistakes,
        suspicions=suspicions,
        lost=lost,
        gained=gained,
        cells=cells,
        anchors={(cell.label, cell.given): cell.anchor for cell in cells},
        has_matrix=len(metadata.labels) <= MAX_TABLE_CLASSES,
        often={cell.label: cell for cell in reversed(cells)},
        phases=phases(contents.history),
        reliability_figure=data_uri(reliability_diagram(contents.reliability), PNG),
        curve_figure=data_uri(learning_curve_figure(contents.curve), PNG) if contents.curve else "",
        training_figure=data_uri(training_curves(contents.history), PNG)
        if contents.history
        else "",
        sheet=_sheet_uri(contents.augmented) if contents.augmented else "",
    )


def report_document(contents: ReportContents) -> dict[str, object]:
    """Return what stands in `report.json`.

    Keys: metrics (figures that lists and pages show), test and incumbent (`EvaluationReport`),
    comparison, history, health, prediction_sets, reliability, novelty, mistakes,
    label_errors, learning_curve. What does not exist is null or empty.
    """
    comparison, incumbent, curve = contents.comparison, contents.incumbent, contents.curve
    return {
        "metrics": metrics(contents),
        "test": contents.evaluation.to_dict(),
        "incumbent": incumbent.to_dict() if incumbent else None,
        "comparison": comparison.to_dict() if comparison else None,
        "history": [dict(row) for row in contents.history],
        "health": list(contents.health_lines),
        "prediction_sets": [dataclasses.asdict(one) for one in contents.sets],
        "reliability": [dataclasses.asdict(one) for one in contents.reliability],
        "novelty": dataclasses.asdict(contents.refusals) if contents.refusals else None,
        "mistakes": [
            {
                "name": one.example.name,
                "label": one.example.label,
                "given": one.given,
                "probability": one.probability,
                "right_probability": one.right_probability,
            }
            for one in contents.mistakes[:MAX_LISTED]
        ],
        "label_errors": {
            "judged": contents.judged_labels,
            "suspected": len(contents.suspicions),
            "pictures": [
                {
                    "name": one.example.name,
                    "split": one.example.split,
                    "label": one.example.label,
                    "likely": one.likely,
                    "score": one.score,
                }
                for one in contents.suspicions[:MAX_LISTED]
            ],
        },
        "learning_curve": curve.to_dict() if curve else None,
    }


def metrics(contents: ReportContents) -> dict[str, float | int]:
    """Return the figures that lists and pages show."""
    report = contents.evaluation
    counts = contents.metadata.dataset.get("counts", {}).values()
    figures: dict[str, float | int] = {
        "accuracy": report.accuracy,
        "accuracy_low": report.accuracy_interval[0],
        "accuracy_high": report.accuracy_interval[1],
        "top3_accuracy": report.top3_accuracy,
        "macro_f1": report.macro_f1,
        "log_loss": report.log_loss,
        "ece": report.ece,
        "n_train": sum(by_split.get("train", 0) for by_split in counts),
        "n_validation": sum(by_split.get("validation", 0) for by_split in counts),
        "n_test": report.n,
    }
    for score in contents.sets:
        figures[f"coverage_{score.level:.2f}"] = score.coverage
        figures[f"set_size_{score.level:.2f}"] = score.mean_size
    if contents.refusals is not None:
        figures["known_refused"] = contents.refusals.refused
    return figures


class _Album:
    """Makes thumbnails until the room for them is used up."""

    def __init__(self, picture_of: PictureOf) -> None:
        self._picture_of = picture_of
        self._room_bytes = MAX_PICTURES_BYTES

    def gallery(self, pictures: Sequence[tuple[Example, tuple[str, ...]]], limit: int) -> Gallery:
        """Return the first pictures, `limit` at most."""
        shown = []
        for example, lines in pictures[:limit]:
            if self._room_bytes <= 0:
                break
            uri = thumbnail_uri(self._picture_of(example))
            self._room_bytes -= len(uri)
            shown.append(Shown(uri=uri, name=example.name, lines=lines))
        return Gallery(shown=tuple(shown), left_out=len(pictures) - len(shown))


def _mistake_lines(mistake: Mistake) -> tuple[str, ...]:
    return (
        f"is {mistake.example.label} ({mistake.right_probability:.0%})",
        f"given {mistake.given} ({mistake.probability:.0%})",
    )


def _cells(contents: ReportContents, album: _Album) -> list[Cell]:
    """Return the cells with mistakes, the fullest first."""
    index = {label: position for position, label in enumerate(contents.metadata.labels)}
    by_cell: dict[tuple[str, str], list[Mistake]] = defaultdict(list)
    for mistake in contents.mistakes:
        by_cell[mistake.example.label, mistake.given].append(mistake)
    ordered = sorted(by_cell.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        Cell(
            anchor=f"cell-{index[label]}-{index[given]}",
            label=label,
            given=given,
            count=len(members),
            gallery=album.gallery(
                [(one.example, (f"given {one.probability:.0%}",)) for one in members],
                MAX_OF_A_CELL,
            ),
        )
        for (label, given), members in ordered
    ]


def _flips(contents: ReportContents, album: _Album) -> tuple[Gallery, Gallery]:
    """Return the pictures that became wrong and those that became right."""
    comparison = contents.comparison
    if comparison is None:
        nothing = Gallery(shown=(), left_out=0)
        return nothing, nothing
    by_name = {example.name: example for example in contents.examples}

    def told(flip: Flip) -> tuple[str, ...]:
        return (
            f"is {flip.label}",
            f"before {flip.old_label} ({flip.old_probability:.0%})",
            f"now {flip.new_label} ({flip.new_probability:.0%})",
        )

    lost, gained = (
        album.gallery(
            [
                (by_name[flip.name], told(flip))
                for flip in sorted(flips, key=lambda flip: -flip.new_probability)
            ],
            MAX_FLIPS,
        )
        for flips in (comparison.lost, comparison.gained)
    )
    return lost, gained


def _sheet_uri(picture: bytes) -> str:
    """Return the sheet as a JPEG that is small enough for the page."""
    with Image.open(io.BytesIO(picture)) as image:
        sheet = image.convert("RGB")
    sheet.thumbnail((SHEET_SIDE_PX, SHEET_SIDE_PX))
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=80, optimize=True)
    return data_uri(buffer.getvalue(), "image/jpeg")
