"""Files become pixels here, and only here: one decoder and one resize for training and serving.

Colour profiles are ignored: the numbers in the file are taken as sRGB, in training and in
serving alike.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, JpegImagePlugin, PngImagePlugin

from ml.errors import ImageError
from ml.formats import announced_format

MAX_FILE_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 50_000_000  # a 48-megapixel phone's picture passes
MAX_SIDE_PX = 20_000
WORKING_LONG_SIDE_PX = 704  # twice and more what a network sees, and enough to show on a page

Pixels = npt.NDArray[np.uint8]

_SCALES = (32, 16, 8, 4, 2)
_JPEG_SCALES = (8, 4, 2)  # what libjpeg does while it decodes, at a fraction of the work
_BAND_PX = 1 << 20  # pixels converted at a time: bounds the memory above the decoded picture
_PLAIN_MODES = frozenset({"L", "RGB", "RGBX", "CMYK", "YCbCr"})

# A PNG's transparent colour stands in the file's own bit depth, Pillow's pixels in 8 bits.
_PNG_KEY_TO_8_BIT: Final[Mapping[str, Callable[[int], int]]] = {
    "L;2": lambda key: key * 85,
    "L;4": lambda key: key * 17,
    "RGB;16B": lambda key: key >> 8,
}

# EXIF 2.32, tag 0x0112: what is to be done to the stored rows and columns.
_UPRIGHT: Final[Mapping[int, Callable[[Pixels], Pixels]]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels.swapaxes(0, 1)[::-1],
}
_SIDEWAYS = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedImage:
    """A picture as people see it: upright, on white where it was transparent.

    `pixels` is (height, width, 3) RGB uint8, possibly read-only, at working scale: the file's
    own size divided by the largest of 1, 2, 4, 8, 16, 32 that leaves the long side at least
    `WORKING_LONG_SIDE_PX`. `width_px` and `height_px` are the upright size before scaling;
    `format` is Pillow's name, such as "JPEG", "MPO" or "HEIF".
    """

    pixels: Pixels
    width_px: int
    height_px: int
    format: str


def decode_image(
    source: bytes | Path,
    *,
    max_pixels: int = MAX_PIXELS,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> DecodedImage:
    """Decode a JPEG, PNG, WebP, AVIF, HEIC or GIF file; of several frames, the first.

    The size is checked before a pixel is decoded, and a JPEG is decoded at reduced scale, so
    the cost is bounded. `source` is the file's content or its path. Raises `ImageError`, and
    nothing else, whatever the file holds: `bad_image`, `unsupported_type`, `too_many_pixels`
    or `file_too_large`.
    """
    data = _read(source, max_file_bytes)
    announced = announced_format(data)
    try:
        with Image.open(io.BytesIO(data), formats=announced.pillow_formats()) as image:
            _check_size(image.size, max_pixels)
            return _decode(image)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            "too_many_pixels",
            f"The picture has far more than the {max_pixels:,} pixels allowed. "
            "Please send a smaller copy.",
        ) from error
    except MemoryError as error:
        raise ImageError(
            "bad_image",
            "Decoding the picture takes more memory than is allowed. Please send a smaller copy.",
        ) from error
    # Pillow's decoders raise SyntaxError, struct.error, KeyError and much else for bad files.
    except Exception as error:
        raise ImageError(
            "bad_image",
            f"The file begins like {announced.name_for_people} picture but is damaged or "
            "incomplete. Please open it in an image program, save it again and send that.",
        ) from error


def check_file_size(size_bytes: int, max_file_bytes: int) -> None:
    """Raise `ImageError` `file_too_large` for a file above the limit."""
    if size_bytes > max_file_bytes:
        raise ImageError(
            "file_too_large",
            f"The file has more than the {max_file_bytes / 1024**2:.3g} MiB allowed. "
            "Please send a smaller copy.",
        )


def encode_jpeg(pixels: Pixels, *, quality: int = 85) -> bytes:
    """Encode (height, width, 3) or (height, width, 1) uint8 pixels; the file has no metadata."""
    buffer = io.BytesIO()
    _to_image(pixels).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def resize(
    pixels: Pixels,
    width_px: int,
    height_px: int,
    box: tuple[float, float, float, float] | None = None,
) -> Pixels:
    """Return `pixels` (h, w, 1 or 3), or the `box` of it, at the given size, bilinear.

    `box` is left, top, right, bottom in pixels, fractions allowed, within the picture. Every
    source pixel counts when shrinking (Pillow's support grows with the factor), in two steps
    (`reducing_gap`) because that is four times as fast and looks the same.
    """
    image = _to_image(pixels).resize(
        (width_px, height_px), Image.Resampling.BILINEAR, box, reducing_gap=2
    )
    return np.asarray(image).reshape(height_px, width_px, pixels.shape[2])


def to_grey(pixels: Pixels) -> Pixels:
    """Return (height, width, 1 or 3) uint8 as (height, width, 1): ITU-R 601 luma."""
    if pixels.shape[2] == 1:
        return pixels
    return np.asarray(Image.fromarray(pixels).convert("L"))[:, :, np.newaxis]


def _to_image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)


def _read(source: bytes | Path, max_file_bytes: int) -> bytes:
    """Return the content, reading no more than one byte past the limit."""
    if isinstance(source, Path):
        try:
            with source.open("rb") as file:
                data = file.read(max_file_bytes + 1)
        except OSError as error:
            raise ImageError(
                "bad_image", f"The file cannot be read: {error.strerror or error}."
            ) from error
    else:
        data = source
    check_file_size(len(data), max_file_bytes)
    if not data:
        raise ImageError("bad_image", "The file is empty. Please choose a picture.")
    return data


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width_px, height_px = size
    if width_px * height_px > max_pixels or max(size) > MAX_SIDE_PX:
        raise ImageError(
            "too_many_pixels",
            f"The picture has {width_px:,} × {height_px:,} pixels; allowed are {max_pixels:,} "
            f"in all and {MAX_SIDE_PX:,} a side. Please send a smaller copy.",
        )


def _decode(image: Image.Image) -> DecodedImage:
    width_px, height_px = image.size
    scale = next((s for s in _SCALES if max(image.size) >= s * WORKING_LONG_SIDE_PX), 1)
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        scale //= _draft(image, scale)
    key = _transparent_key(image)
    image.load()
    pixels = _reduced_rgb(image, scale, key)
    orientation = _orientation(image)
    if orientation in _UPRIGHT:
        pixels = np.ascontiguousarray(_UPRIGHT[orientation](pixels))
    if orientation in _SIDEWAYS:
        width_px, height_px = height_px, width_px
    return DecodedImage(
        pixels=pixels, width_px=width_px, height_px=height_px, format=image.format or ""
    )


def _draft(image: JpegImagePlugin.JpegImageFile, scale: int) -> int:
    """Let libjpeg do as much of the scaling as it can; return how much that is."""
    long_side_px = max(image.size)
    jpeg_scale = next((s for s in _JPEG_SCALES if s <= scale), 1)
    image.draft(None, (max(1, image.width // jpeg_scale), max(1, image.height // jpeg_scale)))
    # Measured, not assumed: a strip narrower than `jpeg_scale` pixels is scaled by less.
    return round(long_side_px / max(image.size))


def _transparent_key(image: Image.Image) -> Any:
    """Return what the file calls transparent, in the bit depth of Pillow's pixels."""
    key = image.info.get("transparency")
    rawmode = image.tile[0].args if isinstance(image, PngImagePlugin.PngImageFile) else None
    to_8_bit = _PNG_KEY_TO_8_BIT.get(rawmode) if isinstance(rawmode, str) else None
    if key is None or to_8_bit is None:
        return key
    return tuple(to_8_bit(k) for k in key) if isinstance(key, tuple) else to_8_bit(key)


def _reduced_rgb(image: Image.Image, scale: int, key: Any) -> Pixels:
    """Return the loaded image as RGB on white, `scale` times smaller by area averaging."""
    if image.mode in _PLAIN_MODES and key is None:
        if scale > 1:
            image = image.reduce(scale)
        # Pillow copies even where there is nothing to reduce or to convert.
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    # The rest is converted before it is averaged, because palette indices have no mean.
    width_px, height_px = image.size
    pixels = np.empty((-(-height_px // scale), -(-width_px // scale), 3), np.uint8)
    band_px = max(1, _BAND_PX // (width_px * scale)) * scale
    for top in range(0, height_px, band_px):
        band = image.crop((0, top, width_px, min(top + band_px, height_px)))
        reduced = np.asarray(_on_white(band, key).reduce(scale))
        pixels[top // scale : top // scale + len(reduced)] = reduced
    return pixels


def _on_white(band: Image.Image, key: Any) -> Image.Image:
    """Convert any mode to RGB, with white where the band is transparent."""
    if band.mode.startswith("I"):
        # Pillow's own conversion clips 16 bits to 8, which turns nearly all of it white.
        values = np.clip(np.asarray(band), 0, 65_535).astype(np.uint32)
        grey = ((values * 255 + 32_767) // 65_535).astype(np.uint8)
        if key is not None:
            grey[values == key] = 255
        return Image.fromarray(grey).convert("RGB")
    if key is not None:
        band.info["transparency"] = key
    if not band.has_transparency_data:
        return band.convert("RGB")
    rgba = band.convert("RGBA")
    white = Image.new("RGB", band.size, "white")
    white.paste(rgba, mask=rgba)
    return white


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 where there is none or it cannot be read."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    # Broken metadata raises as variously as broken pixels do, and must not cost the picture.
    except Exception:
        return 1
    return orientation if isinstance(orientation, int) else 1
