"""Self-contained HTML pages: templates of `ml/templates`, pictures as data URIs.

A page opens from disk, without a network and without script. Everything that is put into one
is escaped: labels and names come from the folders of whoever brought the pictures.
"""

import base64
import io
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

TEMPLATES = Path(__file__).parent / "templates"
THUMBNAIL_SIDE_PX = 96
THUMBNAIL_QUALITY = 72  # about 2.5 kB a photo


def render_page(template: str, /, **values: object) -> bytes:
    """Return a page as UTF-8.

    Args:
        template: file name in `ml/templates`; pages extend `page.html`.
        values: what the template names; a name that is missing raises UndefinedError.
    """
    return _environment().get_template(template).render(**values).encode()


def thumbnail_uri(pixels: npt.NDArray[np.uint8], side_px: int = THUMBNAIL_SIDE_PX) -> str:
    """Return a picture as a JPEG in a data URI, neither side longer than `side_px`.

    Args:
        pixels: (height, width) or (height, width, 1 or 3), uint8. Smaller pictures than half
            the side are enlarged by a whole number, so that drawings of 28 px keep their dots.

    Raises:
        ValueError: another shape or type.
    """
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.dtype != np.uint8 or not (
        pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    ):
        raise ValueError(
            "pixels must be uint8 (height, width) or (height, width, 1 or 3), received "
            f"{pixels.dtype} {pixels.shape}."
        )
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    times = side_px // max(image.size)
    if times > 1:
        size = (image.width * times, image.height * times)
        image = image.resize(size, Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=THUMBNAIL_QUALITY, optimize=True)
    return data_uri(buffer.getvalue(), "image/jpeg")


def data_uri(content: bytes, media_type: str) -> str:
    """Return bytes as an address that an `img` can show."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "percents": _percents, "count": _count}
    return environment


def _percent(share: float, decimals: int = 1) -> str:
    return f"{share:.{decimals}%}"


def _percents(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.1%} to {interval[1]:.1%}"


def _count(number: int) -> str:
    return f"{number:,}"
