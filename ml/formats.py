"""Which kinds of picture are taken, and how a file's first bytes announce its kind."""

import functools
from dataclasses import dataclass
from typing import Final

# Imported by name because Image.open would otherwise load all of Pillow's forty plugins.
from PIL import (
    AvifImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from ml.errors import ImageError

ALLOWED_FORMATS = "JPEG, PNG, WebP, AVIF, HEIC or GIF"


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """A kind of picture that is taken, and Pillow's names for what may come out of one."""

    name_for_people: str
    plugins: tuple[str, ...]

    def pillow_formats(self) -> tuple[str, ...]:
        """Return the only decoders that Pillow may try, having made sure that it has them."""
        if self is HEIC:
            _register_heif()
        return self.plugins


# A phone's JPEG may hold several pictures: Pillow then calls it MPO.
JPEG: Final = PictureFormat(
    "a JPEG", (JpegImagePlugin.JpegImageFile.format, MpoImagePlugin.MpoImageFile.format)
)
PNG: Final = PictureFormat("a PNG", (PngImagePlugin.PngImageFile.format,))
GIF: Final = PictureFormat("a GIF", (GifImagePlugin.GifImageFile.format,))
WEBP: Final = PictureFormat("a WebP", (WebPImagePlugin.WebPImageFile.format,))
AVIF: Final = PictureFormat("an AVIF", (AvifImagePlugin.AvifImageFile.format,))
HEIC: Final = PictureFormat("a HEIC", ("HEIF",))

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_OTHER_CONTENTS: Final = (
    (b"BM", "a BMP picture"),
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"8BPS", "a Photoshop document"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (b"\0\0\1\0", "an icon file"),
    (b"PK\3\4", "a ZIP archive"),
    (b"<", "an SVG, HTML or XML text"),
)


def announced_format(data: bytes) -> PictureFormat:
    """Return which of the formats taken the first bytes announce; a file's name says nothing.

    Raises `ImageError` `unsupported_type` for anything else.
    """
    if data.startswith(b"\xff\xd8"):
        return JPEG
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if data.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WEBP
    if data[4:8] == b"ftyp":
        # AVIF and HEIC share the container, and "mif1" may be either: the other brands tell.
        end = min(int.from_bytes(data[:4], "big"), 256)
        brands = {data[8:12], *(data[i : i + 4] for i in range(16, end, 4))}
        if brands & _AVIF_BRANDS:
            return AVIF
        if brands & _HEIC_BRANDS:
            return HEIC
    start = data[:64].lstrip(b"\xef\xbb\xbf \t\r\n")
    received = next((name for magic, name in _OTHER_CONTENTS if start.startswith(magic)), None)
    raise ImageError(
        "unsupported_type",
        f"The file is {received or 'of a kind that is not known here'}. "
        f"Please send a {ALLOWED_FORMATS} picture.",
    )


@functools.cache
def _register_heif() -> None:
    """Teach Pillow HEIC, at the first such file: the library costs memory and start-up time."""
    import pillow_heif

    pillow_heif.register_heif_opener(
        thumbnails=False, depth_images=False, aux_images=False, decode_threads=1
    )
