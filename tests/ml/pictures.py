"""Pictures made in memory, in any format, mode and orientation."""

import io
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

ORIENTATION_TAG = 0x0112


def encoded(image: Image.Image, image_format: str = "PNG", **options: Any) -> bytes:
    """Return the image as a file of the given format."""
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def with_orientation(image: Image.Image, orientation: int, image_format: str = "JPEG") -> bytes:
    """Return a file that says it is to be turned, as cameras write it."""
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    return encoded(image, image_format, exif=exif.tobytes())


def quarters(width_px: int = 64, height_px: int = 48) -> Image.Image:
    """Return a picture with four quarters in colours of their own: turning it shows."""
    pixels = np.zeros((height_px, width_px, 3), np.uint8)
    middle_row, middle_column = height_px // 2, width_px // 2
    pixels[:middle_row, :middle_column] = (220, 30, 30)
    pixels[:middle_row, middle_column:] = (30, 200, 30)
    pixels[middle_row:, :middle_column] = (30, 30, 210)
    pixels[middle_row:, middle_column:] = (230, 220, 40)
    return Image.fromarray(pixels)


def corner_colors(pixels: Pixels) -> Pixels:
    """Return the colours at the centres of the quarters, clockwise from the top left."""
    height, width, _ = pixels.shape
    rows, columns = (height // 4, 3 * height // 4), (width // 4, 3 * width // 4)
    return np.array(
        [
            pixels[rows[0], columns[0]],
            pixels[rows[0], columns[1]],
            pixels[rows[1], columns[1]],
            pixels[rows[1], columns[0]],
        ]
    )


def raw_png(
    size: tuple[int, int],
    *,
    bit_depth: int,
    color_type: int,
    rows: bytes,
    transparency: bytes = b"",
) -> bytes:
    """Return a PNG put together by hand, for what Pillow does not write.

    `color_type` is 0 for grey, 2 for RGB and 6 for RGBA; `rows` are the filtered scan lines.
    """

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + name + content + checksum

    width_px, height_px = size
    header = width_px.to_bytes(4, "big") + height_px.to_bytes(4, "big")
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header + bytes([bit_depth, color_type, 0, 0, 0]))
        + (chunk(b"tRNS", transparency) if transparency else b"")
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
