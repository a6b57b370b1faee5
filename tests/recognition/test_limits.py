import math
from io import BytesIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client, RequestFactory
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from recognition import limits
from recognition.errors import ApplicationError, TooManyRequestsError
from recognition.models import Prediction, Recognizer, UploadCount

URL = "/api/v1/recognizers/colors/predictions"

pytestmark = pytest.mark.django_db


def code_of(response: Any) -> str:
    return str(response.json()["error"]["code"])


def upload(client: Client, data: bytes, **extra: Any) -> Any:
    return client.post(URL, {"image": SimpleUploadedFile("x.jpg", data)}, **extra)


@pytest.mark.parametrize(("excess_bytes", "code"), [(0, "unsupported_type"), (1, "file_too_large")])
def test_file_of_exactly_the_limit_is_read_and_one_byte_more_is_not(
    client: Client, served: Recognizer, settings: Any, excess_bytes: int, code: str
) -> None:
    settings.MAX_UPLOAD_BYTES = 200_000  # several chunks; the limit itself is a setting
    response = upload(client, b"\0" * (settings.MAX_UPLOAD_BYTES + excess_bytes))
    assert code_of(response) == code
    assert response.status_code == (413 if excess_bytes else 415)
    assert not Prediction.objects.exists()


def test_file_above_20_mib_is_refused_by_default(
    client: Client, served: Recognizer, settings: Any
) -> None:
    assert settings.MAX_UPLOAD_BYTES == 20 * 1024 * 1024
    response = upload(client, b"\0" * (20 * 1024 * 1024 + 1))
    assert response.status_code == 413
    assert code_of(response) == "file_too_large"
    assert "20 MiB" in response.json()["error"]["message"]


class UnreadableBody(BytesIO):
    """Fails the test when a byte of it is read."""

    def read(self, *args: Any) -> bytes:
        raise AssertionError("the body was read")

    readline = readinto = read  # type: ignore[assignment]


def post_raw(client: Client, body: BytesIO, **environ: str) -> Any:
    """Post a body as it is, with the headers as they are."""
    headers = {"CONTENT_TYPE": MULTIPART_CONTENT} | environ
    return client.generic("POST", URL, **{"wsgi.input": body}, **headers)


@pytest.mark.parametrize(
    ("length", "status", "code"),
    [
        (str(20 * 1024 * 1024 + 64 * 1024 + 1), 413, "file_too_large"),
        ("9" * 5000, 413, "file_too_large"),
        ("-1", 400, "bad_request"),
        ("1e3", 400, "bad_request"),
        ("12, 12", 400, "bad_request"),
        ("٣", 400, "bad_request"),
        ("", 411, "length_required"),
    ],
)
def test_length_is_judged_before_a_byte_is_read(
    client: Client, served: Recognizer, length: str, status: int, code: str
) -> None:
    response = post_raw(client, UnreadableBody(), CONTENT_LENGTH=length)
    assert response.status_code == status
    assert code_of(response) == code


def test_chunked_body_without_length_is_refused(client: Client) -> None:
    response = post_raw(
        client,
        UnreadableBody(),
        CONTENT_TYPE="",
        CONTENT_LENGTH="",
        HTTP_TRANSFER_ENCODING="chunked",
    )
    assert response.status_code == 411


def test_post_without_any_body_reaches_the_view(client: Client, served: Recognizer) -> None:
    response = client.post(URL)
    assert response.status_code == 400
    assert code_of(response) == "missing_image"


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_body_that_ends_early_is_a_clean_400(
    client: Client, served: Recognizer, picture_bytes: bytes, kept: float
) -> None:
    body = encode_multipart(BOUNDARY, {"image": SimpleUploadedFile("x.jpg", picture_bytes)})
    sent = BytesIO(body[: int(len(body) * kept)])
    response = post_raw(client, sent, CONTENT_LENGTH=str(len(body)))
    assert response.status_code in {400, 415}
    assert not Prediction.objects.exists()


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "x" * 300,
        "multipart/form-data; boundary=\xff",
        "image/jpeg",
        "application/json",
        "application/x-www-form-urlencoded",
    ],
)
def test_body_of_another_shape_is_a_400(
    client: Client, served: Recognizer, picture_bytes: bytes, content_type: str
) -> None:
    response = client.generic("POST", URL, picture_bytes, content_type=content_type)
    assert response.status_code == 400
    assert code_of(response) in {"bad_request", "missing_image"}


def test_picture_sent_as_a_field_is_not_a_file(
    client: Client, served: Recognizer, settings: Any
) -> None:
    assert code_of(client.post(URL, {"image": "text"})) == "missing_image"
    response = client.post(URL, {"image": "x" * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)})
    assert response.status_code == 413
    assert code_of(response) == "request_too_large"


def test_several_files_are_refused(
    client: Client, served: Recognizer, picture_bytes: bytes
) -> None:
    files = [SimpleUploadedFile(name, picture_bytes) for name in ("a.jpg", "b.jpg")]
    for fields in ({"image": files}, {"image": files[0], "other": files[1]}):
        for file in files:
            file.seek(0)
        response = client.post(URL, fields)
        assert response.status_code == 400
        assert code_of(response) == "too_many_files"
    assert not Prediction.objects.exists()


def test_hundreds_of_fields_are_refused(client: Client, served: Recognizer) -> None:
    response = client.post(URL, {f"field{index}": "x" for index in range(2000)})
    assert response.status_code == 400
    assert code_of(response) == "bad_request"


def test_uploads_are_not_counted_by_default(
    client: Client, served: Recognizer, picture_bytes: bytes
) -> None:
    assert upload(client, picture_bytes).status_code == 201
    assert not UploadCount.objects.exists()


def test_uploads_beyond_the_rate_are_refused_for_the_rest_of_the_minute(
    client: Client,
    served: Recognizer,
    picture_bytes: bytes,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.UPLOADS_PER_MINUTE = 2
    now_s = 60_000_020.5
    monkeypatch.setattr(limits.time, "time", lambda: now_s)
    statuses = [upload(client, picture_bytes).status_code for _ in range(2)]
    refused = upload(client, picture_bytes)
    other = upload(client, picture_bytes, REMOTE_ADDR="192.0.2.7")

    assert statuses == [201, 201]
    assert refused.status_code == 429
    assert code_of(refused) == "too_many_requests"
    assert int(refused["Retry-After"]) == math.ceil(60 - now_s % 60)
    assert other.status_code == 201
    assert Prediction.objects.count() == 3

    monkeypatch.setattr(limits.time, "time", lambda: now_s + 60)
    assert upload(client, picture_bytes).status_code == 201


def count_from(address: str, **environ: str) -> None:
    limits.count_upload(RequestFactory().post("/", REMOTE_ADDR=address, **environ))


def test_forwarded_address_of_the_client_does_not_help_it(settings: Any) -> None:
    settings.UPLOADS_PER_MINUTE = 1
    count_from("192.0.2.1")
    with pytest.raises(TooManyRequestsError):
        count_from("192.0.2.1", HTTP_X_FORWARDED_FOR=str(uuid4()))


def test_one_ipv6_network_is_one_client(settings: Any) -> None:
    settings.UPLOADS_PER_MINUTE = 1
    count_from("2001:db8::1")
    count_from("2001:db8:0:1::1")
    with pytest.raises(TooManyRequestsError):
        count_from("2001:db8::ffff")


def test_addresses_are_not_stored_and_old_counts_go(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.UPLOADS_PER_MINUTE = 9
    monkeypatch.setattr(limits.time, "time", lambda: 6000.0)
    count_from("192.0.2.1")
    assert "192.0.2.1" not in str(UploadCount.objects.values())
    monkeypatch.setattr(limits.time, "time", lambda: 6000.0 + 7 * 60)
    count_from("192.0.2.1")
    count_from("192.0.2.1")
    assert list(UploadCount.objects.values_list("minute", "count")) == [(107, 2)]


def test_dropped_file_tells_the_refusal_however_it_is_read(settings: Any) -> None:
    oversize = limits.OversizeUpload("image")
    with pytest.raises(ApplicationError, match="20 MiB"):
        oversize.read()
    with pytest.raises(ApplicationError, match="20 MiB"):
        list(oversize.chunks())
