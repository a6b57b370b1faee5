"""What people with bad intentions upload: refused cleanly, or stored as nothing but a picture."""

import logging
import random
import socket
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from recognition.models import Prediction, Recognizer
from tests.recognition.pictures import make_picture

URL = "/api/v1/recognizers/colors/predictions"

pytestmark = pytest.mark.django_db


def upload(client: Client, data: bytes, **fields: str) -> Any:
    return client.post(URL, {"image": SimpleUploadedFile("x.jpg", data), **fields})


def media_files(settings: Any) -> list[Path]:
    return [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]


def count_all(settings: Any) -> tuple[int, int]:
    return Prediction.objects.count(), len(media_files(settings))


def png_of_size(width_px: int, height_px: int) -> bytes:
    """Return a PNG that claims a size; its data is a few bytes of zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 0, 0, 0, 0)
    data = zlib.compress(b"\0" * 1000)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("width_px", "height_px"),
    [(50_000_001, 1), (7_072, 7_071), (20_001, 1), (2**31 - 1, 2**31 - 1)],
)
def test_picture_of_too_many_pixels_is_refused_by_its_header(
    client: Client, served: Recognizer, settings: Any, width_px: int, height_px: int
) -> None:
    response = upload(client, png_of_size(width_px, height_px))
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "too_many_pixels"
    assert count_all(settings) == (0, 0)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/tmp/marker) (w) file\nshowpage\n"


@pytest.mark.parametrize(
    "data",
    [
        EPS,
        b"%PDF-1.4\n1 0 obj\n",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<!DOCTYPE html><script>alert(1)</script>",
        b"8BPS\0\1" + b"\0" * 100,
        b"SIMPLE  =                    T" + b" " * 2850,
        b"\0\0\0\x0cjP  \r\n\x87\n" + b"\0" * 100,
        b"GIF8" + b"9a",
        b"PK\x03\x04" + b"\0" * 100,
        *(make_picture(file_format=name) for name in ("TIFF", "BMP", "ICO", "PPM", "TGA", "PCX")),
    ],
    ids=lambda data: repr(data[:8]),
)
def test_what_is_not_on_the_list_of_formats_is_refused(
    client: Client, served: Recognizer, settings: Any, data: bytes
) -> None:
    response = upload(client, data)
    code = response.json()["error"]["code"]
    if data.startswith(b"GIF"):
        assert (response.status_code, code) in {(400, "bad_image"), (415, "unsupported_type")}
    else:
        assert (response.status_code, code) == (415, "unsupported_type")
    assert count_all(settings) == (0, 0)


ORIGINALS = [
    make_picture(size_px=(40, 30), file_format=name, **options)
    for name, options in (
        ("JPEG", {}),
        ("JPEG", {"progressive": True, "exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}),
        ("PNG", {}),
        ("WEBP", {}),
        ("GIF", {}),
    )
]


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """Files that were pictures: bits flipped, parts cut out, doubled, or replaced."""
    data = bytearray(draw(st.sampled_from(ORIGINALS)))
    seed = draw(st.integers(0, 2**32))
    source = random.Random(seed)
    for _ in range(draw(st.integers(1, 8))):
        start = source.randrange(len(data) + 1)
        stop = min(len(data), start + source.choice((1, 2, 4, 50, 1000)))
        match source.randrange(4):
            case 0:
                for place in range(start, stop):
                    data[place] ^= 1 << source.randrange(8)
            case 1:
                del data[start:stop]
            case 2:
                data[start:start] = data[start:stop]
            case _:
                data[start:stop] = source.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f"))
    return bytes(data)


@given(data=mutants())
@hypothesis_settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_mutants_are_classified_or_refused_and_leave_nothing(
    client: Client, served: Recognizer, settings: Any, data: bytes
) -> None:
    rows, files = count_all(settings)
    response = upload(client, data)
    assert response.status_code in {201, 400, 413, 415}
    kept = response.status_code == 201
    assert count_all(settings) == (rows + kept, files + kept)


def test_good_upload_succeeds_after_a_refused_one(client: Client, served: Recognizer) -> None:
    assert upload(client, make_picture()[:-300]).status_code == 400
    assert upload(client, make_picture()).status_code == 201


PAYLOAD = b"<html><script>alert('payload')</script></html><?php system('payload'); ?>"


@pytest.mark.parametrize(
    "data",
    [
        make_picture() + PAYLOAD,
        make_picture(file_format="PNG") + PAYLOAD,
        make_picture(comment=PAYLOAD),
        make_picture(file_format="GIF", comment=PAYLOAD),
    ],
    ids=["after JPEG", "after PNG", "JPEG comment", "GIF comment"],
)
def test_polyglot_is_stored_as_a_picture_only(
    client: Client, served: Recognizer, settings: Any, data: bytes
) -> None:
    response = upload(client, data)
    assert response.status_code == 201
    (stored,) = media_files(settings)
    assert b"payload" not in stored.read_bytes()

    picture = client.get(f"/predictions/{response.json()['id']}/picture.jpg")
    assert picture["Content-Type"] == "image/jpeg"
    assert picture["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in picture["Content-Security-Policy"]
    assert "default-src 'none'" in picture["Content-Security-Policy"]
    assert b"payload" not in b"".join(picture.streaming_content)


SECRET = "PlantedSecret"


def planted_jpeg() -> bytes:
    """Return a JPEG with the secret in EXIF, GPS, XMP, IPTC, comment, profile and at its end."""
    exif = Image.Exif()
    exif[0x010E] = SECRET  # ImageDescription
    exif[0x8825] = {1: "N", 2: (47.0, 22.0, 0.0), 29: SECRET}  # GPS with a date stamp
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = make_picture(
        exif=exif,
        comment=SECRET.encode(),
        icc_profile=profile + SECRET.encode(),
        xmp=f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{SECRET}</x:xmpmeta>".encode(),
    )
    iptc = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", 5 + len(SECRET))
    iptc += b"\x1c\x02\x78" + struct.pack(">H", len(SECRET)) + SECRET.encode()
    segment = b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc
    return data[:2] + segment + data[2:] + SECRET.encode()


def planted_png() -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", SECRET)
    text.add_itxt("XML:com.adobe.xmp", SECRET)
    return make_picture(file_format="PNG", pnginfo=text) + SECRET.encode()


@pytest.mark.parametrize("data", [planted_jpeg(), planted_png()], ids=["JPEG", "PNG"])
def test_nothing_that_a_picture_carries_is_kept(
    client: Client,
    served: Recognizer,
    settings: Any,
    caplog: pytest.LogCaptureFixture,
    data: bytes,
) -> None:
    assert SECRET.encode() in data
    caplog.set_level(logging.DEBUG)

    response = upload(client, data)
    answer = client.get(response["Location"])

    assert response.status_code == 201
    (stored,) = media_files(settings)
    assert SECRET.encode() not in stored.read_bytes()
    with Image.open(BytesIO(stored.read_bytes())) as picture:
        assert not picture.getexif()
        assert not {"icc_profile", "comment", "xmp", "photoshop"} & set(picture.info)
    dump = "\n".join(connection.connection.iterdump())
    assert "colors" in dump
    for text in (dump, caplog.text, response.content.decode(), answer.content.decode()):
        assert SECRET not in text


FILE_NAMES = [
    "../../../evil.jpg",
    "/etc/evil.jpg",
    "..\\..\\evil.jpg",
    "evil\0.jpg",
    "evil" * 75 + ".jpg",
    "evil\r\nSet-Cookie: evil=1.jpg",
    "\u202egpj.evil",
    "<img src=x onerror=evil>.jpg",
    "evil';--.jpg",
    "CON.evil",
    ".evil",
    "evil%2e%2e%2f.jpg",
]


@pytest.mark.parametrize("name", FILE_NAMES, ids=range(len(FILE_NAMES)))
def test_file_name_is_neither_kept_nor_used(
    client: Client,
    served: Recognizer,
    settings: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    picture_bytes: bytes,
    name: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    body = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        "Content-Type: text/html\r\n\r\n"
    ).encode() + picture_bytes
    body += f"\r\n--{BOUNDARY}--\r\n".encode()

    response = client.generic("POST", URL, body, content_type=MULTIPART_CONTENT)

    if "\r\n" in name:  # such a header is broken: it may be refused as well
        assert response.status_code in {201, 400}
    else:
        assert response.status_code == 201
    created = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    rows = list(Prediction.objects.all())
    assert created == {row.picture_path for row in rows}
    for row in rows:
        assert row.picture == f"pictures/{row.id.hex[:2]}/{row.id}.jpg"
    dump = "\n".join(connection.connection.iterdump())
    for text in (dump, caplog.text, response.content.decode(), str(response.headers)):
        assert "evil" not in text


def test_no_address_is_ever_fetched(
    client: Client, served: Recognizer, picture_bytes: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version is loaded, a picture classified and stored, all without one connection."""

    def refuse(self: socket.socket, address: Any) -> None:
        raise AssertionError(f"connected to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    response = upload(client, picture_bytes, image_url="http://192.0.2.1/x.jpg")
    assert response.status_code == 201
    assert response.json()["classes"][0]["label"] == "red"

    alone = client.post(URL, {"image_url": "http://192.0.2.1/x.jpg"})
    assert alone.status_code == 400
    assert alone.json()["error"]["code"] == "missing_image"
