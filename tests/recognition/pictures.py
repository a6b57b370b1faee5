"""Pictures made in memory."""

from io import BytesIO
from typing import Any

from PIL import Image

RED, GREEN, BLUE = (250, 10, 10), (10, 250, 10), (10, 10, 250)


def make_picture(
    color: tuple[int, ...] = RED,
    size_px: tuple[int, int] = (64, 48),
    file_format: str = "JPEG",
    mode: str = "RGB",
    **options: Any,
) -> bytes:
    """Return a file of one colour."""
    file = BytesIO()
    Image.new(mode, size_px, color).save(file, file_format, **options)
    return file.getvalue()
