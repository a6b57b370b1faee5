"""How a picture becomes a network's input: part of every artifact, so that it cannot drift."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Literal, Self, get_args

import numpy as np

from ml.errors import ArtifactError
from ml.images import Pixels, resize, to_grey
from ml.ink import prepare_ink

Color = Literal["rgb", "grey"]
Fit = Literal["stretch", "letterbox", "crop"]

MAX_INPUT_SIDE_PX = 2048
LETTERBOX_LEVEL = 128  # mid-grey: what a network that scales to -1..1 reads as nothing

Region = tuple[float, float, float, float]
_WHOLE: Region = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """The network's input: its size in pixels, its colours and how a picture is fitted in.

    Attributes:
        height_px: rows of the input, 1 to 2048.
        width_px: columns of the input, 1 to 2048.
        color: three channels of RGB or one of grey (ITU-R 601 luma).
        fit: for pictures of another aspect, `stretch` changes it, `letterbox` shows all of the
            picture on mid-grey and `crop` takes the largest centred part that fits.
        ink: for drawings and writing, normalise as `ml.ink` describes instead of fitting.
        widest_ink: how wide ink is drawn that is as wide as high, as a share of its height:
            above 0, and at most 1, which keeps every aspect.

    Raises `ArtifactError` with code `bad_preprocessing` for any other value.
    """

    height_px: int
    width_px: int
    color: Color = "rgb"
    fit: Fit = "stretch"
    ink: bool = False
    widest_ink: float = 1.0

    def __post_init__(self) -> None:
        sides = f"a whole number from 1 to {MAX_INPUT_SIDE_PX}"
        for name, allowed, is_allowed in (
            ("height_px", sides, _is_side),
            ("width_px", sides, _is_side),
            ("color", " or ".join(get_args(Color)), get_args(Color).__contains__),
            ("fit", " or ".join(get_args(Fit)), get_args(Fit).__contains__),
            ("ink", "true or false", lambda value: isinstance(value, bool)),
            ("widest_ink", "a number above 0 and at most 1", _is_share),
        ):
            if not is_allowed(received := getattr(self, name)):
                _refuse(name, received, allowed)

    def to_dict(self) -> dict[str, object]:
        """Return what `from_dict` reads, fit for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Read what `to_dict` wrote; `ArtifactError` `bad_preprocessing` for anything else."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            _refuse("field", ", ".join(unknown), ", ".join(sorted(known)))
        if missing := sorted({"height_px", "width_px"} - set(values)):
            _refuse(" and ".join(missing), None, f"a whole number from 1 to {MAX_INPUT_SIDE_PX}")
        return cls(**values)  # type: ignore[arg-type]  # __post_init__ checks every type


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedImage:
    """A picture as the network sees it.

    `pixels` is (height_px, width_px, 3 or 1) uint8. `region` is what part of the picture that
    is: left, top, right, bottom as fractions of it, beyond 0 to 1 where it was padded.
    """

    pixels: Pixels
    region: Region


def prepare(pixels: Pixels, preprocessing: Preprocessing) -> PreparedImage:
    """Turn a picture (height, width, 3 or 1) uint8 into the input of a network.

    Raises `ValueError` for an array of another shape or type.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3):
        raise ValueError(
            "A picture must be a uint8 array (height, width, 3 or 1), "
            f"received {pixels.dtype} of shape {pixels.shape}."
        )
    if 0 in pixels.shape:
        raise ValueError(f"A picture must have pixels, received shape {pixels.shape}.")
    if preprocessing.ink or preprocessing.color == "grey":
        pixels = to_grey(pixels)
    height_px, width_px = preprocessing.height_px, preprocessing.width_px
    if preprocessing.ink:
        fitted, region = prepare_ink(
            pixels[:, :, 0], height_px, width_px, widest=preprocessing.widest_ink
        )
    elif preprocessing.fit == "letterbox":
        fitted, region = _letterbox(pixels, height_px, width_px)
    elif preprocessing.fit == "crop":
        fitted, region = _crop(pixels, height_px, width_px)
    else:
        fitted, region = resize(pixels, width_px, height_px), _WHOLE
    channels = 1 if preprocessing.color == "grey" else 3
    if fitted.shape[2] != channels:
        fitted = np.repeat(fitted, channels, axis=2)
    return PreparedImage(pixels=fitted, region=region)


def _letterbox(pixels: Pixels, height_px: int, width_px: int) -> tuple[Pixels, Region]:
    source_height_px, source_width_px, channels = pixels.shape
    scale = min(height_px / source_height_px, width_px / source_width_px)
    inner_height_px = min(height_px, max(1, round(source_height_px * scale)))
    inner_width_px = min(width_px, max(1, round(source_width_px * scale)))
    top = (height_px - inner_height_px) // 2
    left = (width_px - inner_width_px) // 2
    fitted = np.full((height_px, width_px, channels), LETTERBOX_LEVEL, np.uint8)
    fitted[top : top + inner_height_px, left : left + inner_width_px] = resize(
        pixels, inner_width_px, inner_height_px
    )
    return fitted, (
        -left / inner_width_px,
        -top / inner_height_px,
        (width_px - left) / inner_width_px,
        (height_px - top) / inner_height_px,
    )


def _crop(pixels: Pixels, height_px: int, width_px: int) -> tuple[Pixels, Region]:
    source_height_px, source_width_px, _ = pixels.shape
    scale = max(height_px / source_height_px, width_px / source_width_px)
    across = min(1.0, width_px / scale / source_width_px)
    down = min(1.0, height_px / scale / source_height_px)
    region = ((1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2)
    box = (
        region[0] * source_width_px,
        region[1] * source_height_px,
        region[2] * source_width_px,
        region[3] * source_height_px,
    )
    return resize(pixels, width_px, height_px, box), region


def _is_side(value: object) -> bool:
    return type(value) is int and 1 <= value <= MAX_INPUT_SIDE_PX


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1


def _refuse(name: str, received: object, allowed: str) -> None:
    raise ArtifactError(
        "bad_preprocessing",
        f"The preprocessing's {name} must be {allowed}, received {received!r}. "
        "Retrain the recognizer, or restore its version from a backup.",
    )
