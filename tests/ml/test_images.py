"""Files become upright RGB pixels, whatever their format, mode, depth and orientation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageOps

from ml.errors import ImageError
from ml.images import (
    MAX_FILE_BYTES,
    MAX_SIDE_PX,
    WORKING_LONG_SIDE_PX,
    DecodedImage,
    decode_image,
    encode_jpeg,
    resize,
    to_grey,
)
from tests.ml.pictures import corner_colors, encoded, quarters, raw_png, with_orientation

pillow_heif.register_heif_opener()

TRANSPOSED_TO_STORE = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def middle(decoded: DecodedImage) -> tuple[int, ...]:
    height, width, _ = decoded.pixels.shape
    return tuple(int(level) for level in decoded.pixels[height // 2, width // 2])


# Formats


@pytest.mark.parametrize(
    ("image_format", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {"quality": 95}),
        ("HEIF", {"quality": 95}),
    ],
)
def test_each_format_gives_the_same_upright_pixels(
    image_format: str, options: dict[str, object]
) -> None:
    picture = quarters()
    decoded = decode_image(encoded(picture, image_format, **options))
    assert decoded.pixels.shape == (48, 64, 3)
    assert decoded.pixels.dtype == np.uint8
    assert (decoded.width_px, decoded.height_px) == (64, 48)
    assert decoded.format == image_format
    difference = corner_colors(decoded.pixels).astype(int) - corner_colors(np.asarray(picture))
    assert np.abs(difference).max() <= 8


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(image_format: str) -> None:
    first, second = Image.new("RGB", (20, 10), "red"), Image.new("RGB", (20, 10), "blue")
    data = encoded(first, image_format, save_all=True, append_images=[second], duration=50)
    red, green, blue = middle(decode_image(data))
    assert red > 240
    assert green < 15
    assert blue < 15


def test_of_a_multi_picture_jpeg_the_first_is_taken() -> None:
    first, second = Image.new("RGB", (40, 30), "red"), Image.new("RGB", (20, 10), "blue")
    decoded = decode_image(encoded(first, "MPO", save_all=True, append_images=[second]))
    assert decoded.format == "MPO"
    assert (decoded.width_px, decoded.height_px) == (40, 30)
    assert middle(decoded)[0] > 240


def test_a_path_is_read_like_its_content(tmp_path: Path) -> None:
    path = tmp_path / "picture.txt"
    path.write_bytes(encoded(quarters()))
    assert np.array_equal(decode_image(path).pixels, decode_image(encoded(quarters())).pixels)


# Modes, transparency and depth


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.new("1", (8, 8), 1), (255, 255, 255)),
        (Image.new("1", (8, 8), 0), (0, 0, 0)),
        (Image.new("L", (8, 8), 77), (77, 77, 77)),
        (Image.new("LA", (8, 8), (0, 255)), (0, 0, 0)),
        (Image.new("LA", (8, 8), (0, 0)), (255, 255, 255)),
        (Image.new("RGBA", (8, 8), (200, 0, 0, 255)), (200, 0, 0)),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 128)), (255, 127, 127)),
        (Image.new("RGBA", (8, 8), (0, 0, 0, 0)), (255, 255, 255)),
        (Image.new("P", (8, 8), 0), (0, 0, 0)),
        (Image.new("I;16", (8, 8), 32_768), (128, 128, 128)),
        (Image.new("I;16", (8, 8), 65_535), (255, 255, 255)),
        (Image.new("I;16", (8, 8), 257), (1, 1, 1)),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else str(value),
)
def test_png_of_any_mode_becomes_rgb_on_white(
    image: Image.Image, expected: tuple[int, int, int]
) -> None:
    assert np.abs(np.subtract(middle(decode_image(encoded(image))), expected)).max() <= 1


def test_sixteen_bit_grey_keeps_every_shade() -> None:
    ramp = np.linspace(0, 65_535, 256).astype(np.uint16)[np.newaxis].repeat(4, axis=0)
    decoded = decode_image(encoded(Image.fromarray(ramp)))
    assert np.array_equal(decoded.pixels[0, :, 0], np.arange(256))


def test_palette_with_a_transparent_entry_shows_white_there() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((4, 4), 0)
    decoded = decode_image(encoded(image, transparency=0))
    assert middle(decoded) == (255, 255, 255)
    assert tuple(decoded.pixels[0, 0]) == (200, 100, 50)


def test_palette_with_half_transparent_entries_is_blended_with_white() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([10, 20, 30, 0, 0, 0])
    assert abs(middle(decode_image(encoded(image, transparency=bytes([255, 128]))))[0] - 127) <= 1


def test_transparent_grey_of_a_png_is_white() -> None:
    image = Image.new("L", (8, 8), 60)
    image.putpixel((4, 4), 90)
    decoded = decode_image(encoded(image, transparency=90))
    assert middle(decoded) == (255, 255, 255)
    assert tuple(decoded.pixels[0, 0]) == (60, 60, 60)


def test_transparent_color_of_a_png_is_white() -> None:
    image = Image.new("RGB", (8, 8), (1, 2, 3))
    decoded = decode_image(encoded(image, transparency=(1, 2, 3)))
    assert middle(decoded) == (255, 255, 255)


def test_transparent_sixteen_bit_grey_of_a_png_is_white() -> None:
    image = Image.new("I;16", (8, 8), 30_000)
    image.putpixel((4, 4), 40_000)
    decoded = decode_image(encoded(image, transparency=40_000))
    assert middle(decoded) == (255, 255, 255)
    assert decoded.pixels[0, 0, 0] == 117


@pytest.mark.parametrize(
    ("bit_depth", "color_type", "row", "transparency", "other"),
    [
        (2, 0, b"\x60", b"\0\1", 170),
        (4, 0, b"\x5a", b"\0\5", 170),
        (16, 2, b"\x12\x34" * 3 + b"\xaa\xaa" * 3, b"\x12\x34" * 3, 170),
    ],
    ids=["2-bit grey", "4-bit grey", "16-bit colour"],
)
def test_transparent_color_of_a_png_counts_in_the_file_s_own_bit_depth(
    bit_depth: int, color_type: int, row: bytes, transparency: bytes, other: int
) -> None:
    data = raw_png(
        (2, 1),
        bit_depth=bit_depth,
        color_type=color_type,
        rows=b"\0" + row,
        transparency=transparency,
    )
    pixels = decode_image(data).pixels
    assert tuple(pixels[0, 0]) == (255, 255, 255)
    assert tuple(pixels[0, 1]) == (other, other, other)


def test_cmyk_jpeg_shows_its_colors() -> None:
    # Pillow writes CMYK the way Adobe does: inverted.
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    red, green, blue = middle(decode_image(data))
    assert red > 240
    assert green < 15
    assert blue < 15


def test_transparency_is_averaged_as_it_looks_when_scaled() -> None:
    # Columns of opaque black and of transparent red: from afar they are grey, never reddish.
    pixels = np.zeros((8, 2 * WORKING_LONG_SIDE_PX, 4), np.uint8)
    pixels[:, ::2] = (0, 0, 0, 255)
    pixels[:, 1::2] = (255, 0, 0, 0)
    decoded = decode_image(encoded(Image.fromarray(pixels)))
    assert decoded.pixels.shape == (4, WORKING_LONG_SIDE_PX, 3)
    assert np.ptp(decoded.pixels[2, 300]) <= 1
    assert abs(int(decoded.pixels[2, 300, 0]) - 127) <= 1


# Orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_exif_orientation_is_applied(orientation: int, image_format: str) -> None:
    upright = quarters()
    turn = TRANSPOSED_TO_STORE[orientation]
    stored = upright if turn is None else upright.transpose(turn)
    decoded = decode_image(with_orientation(stored, orientation, image_format))
    assert (decoded.width_px, decoded.height_px) == upright.size
    assert decoded.pixels.shape == (48, 64, 3)
    difference = corner_colors(decoded.pixels).astype(int) - corner_colors(np.asarray(upright))
    assert np.abs(difference).max() <= 25


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_unknown_orientation_leaves_the_picture_as_it_is(orientation: int) -> None:
    decoded = decode_image(with_orientation(quarters(), orientation))
    assert (decoded.width_px, decoded.height_px) == (64, 48)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"]
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_broken_exif_does_not_cost_the_picture(exif: bytes) -> None:
    assert decode_image(encoded(quarters(), "JPEG", exif=exif)).pixels.shape == (48, 64, 3)


def test_failing_metadata_reader_does_not_cost_the_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: Image.Image) -> None:
        raise SystemError("broken")

    monkeypatch.setattr(Image.Image, "getexif", fail)
    assert decode_image(encoded(quarters())).pixels.shape == (48, 64, 3)


# Working scale


@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("size", "scale"),
    [
        ((1, 1), 1),
        ((703, 20), 1),
        ((1407, 300), 1),
        ((1408, 300), 2),
        ((300, 1600), 2),
        ((2816, 30), 4),
        ((5632, 9), 8),
        ((11_264, 5), 16),
        ((3001, 1), 4),
    ],
)
def test_picture_is_scaled_by_the_largest_power_of_two_that_keeps_704_px(
    size: tuple[int, int], scale: int, image_format: str
) -> None:
    decoded = decode_image(encoded(Image.new("RGB", size, (90, 120, 30)), image_format))
    assert (decoded.width_px, decoded.height_px) == size
    assert decoded.pixels.shape == (-(-size[1] // scale), -(-size[0] // scale), 3)
    assert np.abs(decoded.pixels.astype(int) - (90, 120, 30)).max() <= 3


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "I;16"])
def test_every_mode_is_averaged_alike(mode: str) -> None:
    ramp = np.linspace(0, 255, 1500).astype(np.uint8)[np.newaxis].repeat(1409, axis=0)
    grey = Image.fromarray(ramp)
    if mode == "I;16":
        image = Image.fromarray(ramp.astype(np.uint16) * 257)
    elif mode == "P":
        image = grey.convert("RGB").quantize(256)
    else:
        image = grey.convert(mode)
    decoded = decode_image(encoded(image))
    assert decoded.pixels.shape == (705, 750, 3)
    expected = np.asarray(grey.reduce(2))
    assert np.abs(decoded.pixels[:, :, 0].astype(int) - expected).max() <= 2


# Refusals


@pytest.mark.parametrize(
    ("data", "received"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><script>1</script>", "HTML"),
        (b"just words", "not known"),
        (b"\0" * 100, "not known"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0mp42", "not known"),
        (encoded(quarters(), "BMP"), "BMP"),
        (encoded(quarters(), "TIFF"), "TIFF"),
        (encoded(quarters(), "ICO"), "icon"),
        (encoded(quarters(), "PPM"), "not known"),
        (encoded(quarters(), "EPS"), "PostScript"),
    ],
)
def test_other_kinds_of_file_are_refused_by_name(data: bytes, received: str) -> None:
    with pytest.raises(ImageError, match=received) as caught:
        decode_image(data)
    assert caught.value.code == "unsupported_type"
    assert "JPEG, PNG, WebP, AVIF, HEIC or GIF" in caught.value.message


def test_empty_file_is_refused_with_a_clear_message() -> None:
    with pytest.raises(ImageError, match="empty") as caught:
        decode_image(b"")
    assert caught.value.code == "bad_image"


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "GIF"])
@pytest.mark.parametrize("kept_share", [0.05, 0.5, 0.9])
def test_truncated_picture_is_refused(image_format: str, kept_share: float) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), image_format)
    with pytest.raises(ImageError, match="damaged or incomplete") as caught:
        decode_image(data[: max(16, int(len(data) * kept_share))])
    assert caught.value.code == "bad_image"


def test_first_bytes_alone_are_a_damaged_picture_not_an_unknown_type() -> None:
    with pytest.raises(ImageError, match="a PNG picture") as caught:
        decode_image(b"\x89PNG\r\n\x1a\nand then nothing of the kind")
    assert caught.value.code == "bad_image"


def test_more_pixels_than_allowed_are_refused_before_decoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: Image.Image) -> None:
        raise AssertionError("decoded")

    data = encoded(Image.new("L", (101, 100)))
    monkeypatch.setattr(Image.Image, "load", fail)
    with pytest.raises(ImageError, match=r"101 × 100 pixels; allowed are 10,000") as caught:
        decode_image(data, max_pixels=10_000)
    assert caught.value.code == "too_many_pixels"


def test_exactly_as_many_pixels_as_allowed_are_taken() -> None:
    data = encoded(Image.new("L", (100, 100)))
    assert decode_image(data, max_pixels=10_000).width_px == 100


def test_longer_side_than_allowed_is_refused() -> None:
    with pytest.raises(ImageError, match="20,000 a side") as caught:
        decode_image(encoded(Image.new("1", (MAX_SIDE_PX + 1, 1))))
    assert caught.value.code == "too_many_pixels"


def test_longest_side_allowed_is_taken() -> None:
    assert decode_image(encoded(Image.new("1", (1, MAX_SIDE_PX)))).pixels.shape == (1250, 1, 3)


@pytest.mark.parametrize("side_px", [10_000, 19_000])
def test_decompression_bomb_is_refused_as_too_many_pixels(side_px: int) -> None:
    bomb = raw_png((side_px, side_px), bit_depth=1, color_type=0, rows=b"")
    with pytest.raises(ImageError) as caught:
        decode_image(bomb)
    assert caught.value.code == "too_many_pixels"


def test_larger_file_than_allowed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(b"\x89PNG" + bytes(2048))
    for source in (path, path.read_bytes()):
        with pytest.raises(ImageError, match="MiB allowed") as caught:
            decode_image(source, max_file_bytes=2000)
        assert caught.value.code == "file_too_large"
    assert MAX_FILE_BYTES == 20 * 1024 * 1024


def test_missing_file_and_directory_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.png", tmp_path):
        with pytest.raises(ImageError, match="cannot be read") as caught:
            decode_image(path)
        assert caught.value.code == "bad_image"


@pytest.mark.parametrize(
    "failure", [SyntaxError, KeyError, OverflowError, MemoryError, RecursionError, SystemError]
)
def test_whatever_a_decoder_raises_becomes_bad_image(
    failure: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Image.Image) -> None:
        raise failure("from the depths")

    data = encoded(quarters())
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    with pytest.raises(ImageError) as caught:
        decode_image(data)
    assert caught.value.code == "bad_image"
    assert "depths" not in caught.value.message


def test_keyboard_interrupt_is_never_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: Image.Image) -> None:
        raise KeyboardInterrupt

    data = encoded(quarters())
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", interrupt)
    with pytest.raises(KeyboardInterrupt):
        decode_image(data)


# Copies and sizes


def test_stored_copy_carries_nothing_of_the_file() -> None:
    exif = Image.Exif()
    exif[0x010E] = "planted description"
    data = encoded(quarters(), "JPEG", exif=exif, comment=b"planted comment") + b"planted tail"
    copy = encode_jpeg(decode_image(data).pixels)
    assert copy.startswith(b"\xff\xd8\xff")
    assert b"planted" in data
    assert b"planted" not in copy
    assert b"Exif" not in copy


def test_copy_looks_like_the_picture() -> None:
    pixels = decode_image(encoded(quarters())).pixels
    again = decode_image(encode_jpeg(pixels))
    assert np.abs(corner_colors(again.pixels).astype(int) - corner_colors(pixels)).max() <= 8


@pytest.mark.parametrize("channels", [1, 3])
def test_resize_keeps_channels_and_mean(channels: int) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (120, 90, channels), np.uint8)
    small = resize(pixels, 30, 40)
    assert small.shape == (40, 30, channels)
    assert small.dtype == np.uint8
    assert abs(float(small.mean()) - float(pixels.mean())) < 2


def test_resize_takes_only_the_box() -> None:
    pixels = np.asarray(quarters(64, 48))
    assert tuple(resize(pixels, 5, 5, (32, 0, 64, 24))[2, 2]) == (30, 200, 30)


def test_grey_is_luma() -> None:
    pixels = np.full((2, 2, 3), (255, 0, 0), np.uint8)
    assert to_grey(pixels).shape == (2, 2, 1)
    assert (to_grey(pixels) == 76).all()
    grey = np.full((2, 2, 1), 9, np.uint8)
    assert to_grey(grey) is grey


@pytest.mark.parametrize("turn", [ImageOps.mirror, ImageOps.flip])
def test_decoding_has_no_preferred_side(turn: Callable[[Image.Image], Image.Image]) -> None:
    image = quarters(1408, 1056)
    straight = decode_image(encoded(image)).pixels
    turned = decode_image(encoded(turn(image))).pixels
    assert np.array_equal(np.asarray(turn(Image.fromarray(straight))), turned)
