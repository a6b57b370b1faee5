"""Every test picture that flipped between two versions, with where both of them looked.

Written into the version's folder as `flips.json` when it is trained, for the pictures are at
hand then and may be gone when somebody asks. What is kept of a look is its activation map,
from which the overlay is drawn when it is shown.
"""

import base64
import binascii
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, Self

import numpy as np

from ml.artifact import read_listed
from ml.comparison import Comparison, Flip
from ml.errors import ArtifactError, LacewingError
from ml.examples import Example, read_pixels
from ml.explanation import activation_map, overlay_png
from ml.images import Pixels, encode_jpeg, resize
from ml.inference import Classifier
from ml.preprocessing import Region, prepare

FLIPS_NAME: Final = "flips.json"
MAX_FLIPS: Final = 200  # of each kind; 15 kB each
LONG_SIDE_PX: Final = 320
JPEG_QUALITY: Final = 80
OVERLAY_LONG_SIDE_PX: Final = 128  # a map has few cells; a page shows dozens
MAX_FILE_BYTES: Final = 64 * 1024 * 1024
MAX_JPEG_BYTES: Final = 512 * 1024
MAX_MAP_CELLS: Final = 65_536
MAX_TEXT_CHARS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Where one version looked for the label that it gave."""

    rows: tuple[tuple[int, ...], ...]
    """Of `ml.explanation.activation_map`."""
    region: Region


@dataclass(frozen=True, slots=True, kw_only=True)
class FlippedPicture:
    """A flip with its picture; what could not be had is empty or None."""

    flip: Flip
    jpeg: bytes
    """The long side at most `LONG_SIDE_PX`."""
    width_px: int
    height_px: int
    old_look: Look | None
    """Of the incumbent."""
    new_look: Look | None

    def overlay(self, look: Look) -> bytes:
        """Return a PNG with transparency to lay over the picture, to be scaled to its size."""
        scale = OVERLAY_LONG_SIDE_PX / max(self.width_px, self.height_px)
        width_px, height_px = (
            max(1, round(side * scale)) for side in (self.width_px, self.height_px)
        )
        return overlay_png(look.rows, look.region, width_px, height_px)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    """The flips of one comparison, `MAX_FLIPS` of each kind at most."""

    gained: tuple[FlippedPicture, ...]
    lost: tuple[FlippedPicture, ...]
    gained_in_all: int
    lost_in_all: int

    def to_bytes(self) -> bytes:
        """Return what `read_flips` reads."""
        document = {
            "gained_in_all": self.gained_in_all,
            "lost_in_all": self.lost_in_all,
            "gained": [_to_dict(one) for one in self.gained],
            "lost": [_to_dict(one) for one in self.lost],
        }
        return json.dumps(document, separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            ArtifactError: `bad_flips`, whatever else the bytes hold.
        """
        try:
            document = json.loads(content, parse_constant=_refuse)
            return cls(
                gained=tuple(_from_dict(one) for one in document["gained"]),
                lost=tuple(_from_dict(one) for one in document["lost"]),
                gained_in_all=_whole(document["gained_in_all"], 0, 10**9),
                lost_in_all=_whole(document["lost_in_all"], 0, 10**9),
            )
        except ArtifactError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            _refuse(repr(error))


def picture_flips(
    comparison: Comparison,
    examples: Sequence[Example],
    *,
    candidate: Classifier,
    incumbent: Classifier,
) -> Flips:
    """Let both versions look at the pictures that flipped.

    `examples` are the pictures that were compared, in their order. Of uploads no copy is kept:
    whoever deletes one must not find it here. A picture that cannot be read again is listed
    without its picture: that must not cost a finished training.
    """

    def pictured(pair: tuple[Flip, Example]) -> FlippedPicture:
        flip, example = pair
        try:
            pixels = read_pixels(example)
        except LacewingError:
            return FlippedPicture(
                flip=flip, jpeg=b"", width_px=1, height_px=1, old_look=None, new_look=None
            )
        small = _shrunk(pixels)
        return FlippedPicture(
            flip=flip,
            jpeg=b"" if example.is_upload else encode_jpeg(small, quality=JPEG_QUALITY),
            width_px=small.shape[1],
            height_px=small.shape[0],
            old_look=_look(incumbent, pixels, flip.old_label),
            new_look=_look(candidate, pixels, flip.new_label),
        )

    kinds = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for flips in (comparison.gained, comparison.lost):
            pairs = zip(flips[:MAX_FLIPS], _examples_of(flips, examples), strict=False)
            kinds.append(tuple(pool.map(pictured, pairs)))
    return Flips(
        gained=kinds[0],
        lost=kinds[1],
        gained_in_all=len(comparison.gained),
        lost_in_all=len(comparison.lost),
    )


def read_flips(directory: Path) -> Flips | None:
    """Return the flips that a version's folder holds; None where it was trained without.

    Raises:
        ArtifactError: the folder's metadata or the file is missing, altered or damaged.
    """
    content = read_listed(directory, FLIPS_NAME, max_bytes=MAX_FILE_BYTES)
    return None if content is None else Flips.from_bytes(content)


def _examples_of(flips: Sequence[Flip], examples: Sequence[Example]) -> Iterator[Example]:
    """Yield the example of each flip: flips stand in the order of the pictures."""
    remaining = iter(examples)
    for flip in flips:
        yield next(e for e in remaining if (e.name, e.label) == (flip.name, flip.label))


def _shrunk(pixels: Pixels) -> Pixels:
    height_px, width_px = pixels.shape[:2]
    scale = min(1.0, LONG_SIDE_PX / max(height_px, width_px))
    return resize(pixels, max(1, round(width_px * scale)), max(1, round(height_px * scale)))


def _look(classifier: Classifier, pixels: Pixels, label: str) -> Look | None:
    if label not in classifier.labels:
        return None  # a class that the incumbent does not know
    prepared = prepare(pixels, classifier.preprocessing)
    activation = classifier.classify(prepared.pixels).activation
    if activation is None:
        return None
    rows = activation_map(activation, classifier.labels.index(label))
    return Look(rows=tuple(map(tuple, rows)), region=prepared.region)


def _to_dict(one: FlippedPicture) -> dict[str, object]:
    flip = one.flip
    return {
        "name": flip.name,
        "label": flip.label,
        "old_label": flip.old_label,
        "old_probability": flip.old_probability,
        "new_label": flip.new_label,
        "new_probability": flip.new_probability,
        "jpeg": base64.b64encode(one.jpeg).decode(),
        "width_px": one.width_px,
        "height_px": one.height_px,
        "old_look": _look_to_dict(one.old_look),
        "new_look": _look_to_dict(one.new_look),
    }


def _look_to_dict(look: Look | None) -> dict[str, object] | None:
    return None if look is None else {"rows": look.rows, "region": look.region}


def _from_dict(values: Mapping[str, Any]) -> FlippedPicture:
    try:
        jpeg = base64.b64decode(values["jpeg"], validate=True)
    except binascii.Error as error:
        _refuse(f"a picture is not base64 ({error})")
    if len(jpeg) > MAX_JPEG_BYTES or (jpeg and not jpeg.startswith(b"\xff\xd8\xff")):
        _refuse("a picture is no JPEG, or too large")
    return FlippedPicture(
        flip=Flip(
            name=_text(values["name"]),
            label=_text(values["label"]),
            old_label=_text(values["old_label"]),
            old_probability=_fraction(values["old_probability"]),
            new_label=_text(values["new_label"]),
            new_probability=_fraction(values["new_probability"]),
        ),
        jpeg=jpeg,
        width_px=_whole(values["width_px"], 1, LONG_SIDE_PX),
        height_px=_whole(values["height_px"], 1, LONG_SIDE_PX),
        old_look=_look_from_dict(values["old_look"]),
        new_look=_look_from_dict(values["new_look"]),
    )


def _look_from_dict(values: Mapping[str, Any] | None) -> Look | None:
    if values is None:
        return None
    rows = np.array(values["rows"])
    region = np.array(values["region"], np.float64)
    if not (rows.ndim == 2 and 0 < rows.size <= MAX_MAP_CELLS and rows.dtype.kind == "i"):
        _refuse(f"an activation map has the shape {rows.shape} of {rows.dtype}")
    if rows.min() < 0 or rows.max() > 255:
        _refuse("an activation map holds values beyond 0 to 255")
    if region.shape != (4,) or not np.isfinite(region).all() or (region[:2] >= region[2:]).any():
        _refuse("an activation map lies nowhere")
    left, top, right, bottom = region.tolist()
    return Look(rows=tuple(map(tuple, rows.tolist())), region=(left, top, right, bottom))


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
        _refuse(f"a name or label is no text of at most {MAX_TEXT_CHARS} characters")
    return value


def _fraction(value: object) -> float:
    if type(value) not in (float, int) or not 0 <= float(str(value)) <= 1 + 1e-6:
        _refuse("a probability lies outside 0 to 1")
    return float(str(value))


def _whole(value: object, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        _refuse(f"a count or size is no whole number from {low} to {high}")
    return value


def _refuse(fault: str) -> NoReturn:
    raise ArtifactError(
        "bad_flips",
        f"{FLIPS_NAME} cannot be shown: {fault}. Restore the folder from a backup.",
    )
