"""Limits of an upload: its bytes, its number of files, and how often one client may upload."""

import ipaddress
import math
import time
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final

from django.conf import settings
from django.core.files.uploadedfile import InMemoryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.db import connection
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from recognition.errors import BadRequestError, FileTooLargeError, TooManyRequestsError
from recognition.models import UploadCount

IMAGE_FIELD: Final = "image"
WINDOW_S: Final = 60
KEPT_WINDOWS: Final = 5


class OversizeUpload(InMemoryUploadedFile):
    """Stands for a file whose bytes were dropped: reading it tells the refusal."""

    def __init__(self, field_name: str | None) -> None:
        too_large = settings.MAX_UPLOAD_BYTES + 1
        super().__init__(BytesIO(), field_name, "upload", None, too_large, None)

    def read(self, *_args: Any) -> bytes:
        """Refuse."""
        raise FileTooLargeError

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """Refuse."""
        raise FileTooLargeError


class SizeLimitUploadHandler(FileUploadHandler):
    """Keep uploads in memory, up to `MAX_UPLOAD_BYTES` each; nothing ever touches the disk.

    What comes after the limit is dropped rather than refused by an exception, which Django
    would log with a traceback before any view ran; `UploadLimitMiddleware` bounds how much
    that can be. The client's file name and type are not kept: nothing may depend on them.
    """

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Begin a file."""
        super().new_file(*args, **kwargs)
        self._chunks: list[bytes] = []
        self._length_bytes = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Keep a chunk, or let go of all once the file is too large."""
        self._length_bytes += len(raw_data)
        if self._length_bytes > settings.MAX_UPLOAD_BYTES:
            self._chunks.clear()
        else:
            self._chunks.append(raw_data)

    def file_complete(self, file_size: int) -> "UploadedFile[bytes]":
        """Return the file, or what refuses to be read in its place."""
        if self._length_bytes > settings.MAX_UPLOAD_BYTES:
            return OversizeUpload(self.field_name)
        data = b"".join(self._chunks)
        self._chunks.clear()
        return InMemoryUploadedFile(BytesIO(data), self.field_name, "upload", None, len(data), None)


def read_upload(request: HttpRequest) -> bytes:
    """Count this upload against the client's limit, then return the bytes of its one picture.

    Raises:
        ApplicationError: `too_many_requests`, `missing_image`, `too_many_files`,
            `file_too_large`, or `bad_request` for a body that is not well-formed.
    """
    count_upload(request)
    files = [file for name in request.FILES for file in request.FILES.getlist(name)]
    if len(files) > 1:
        raise BadRequestError(
            f"Received {len(files)} files; allowed is one picture a request.",
            code="too_many_files",
        )
    picture = request.FILES.get(IMAGE_FIELD)
    if picture is None:
        raise BadRequestError(
            f'No picture was received. Send one as multipart/form-data in the field "{IMAGE_FIELD}"'
            ", with a file name.",
            code="missing_image",
        )
    data: bytes = picture.read()
    return data


def count_upload(request: HttpRequest) -> None:
    """Count one upload of the request's client in this minute.

    One statement adds and reads, so that parallel uploads in several processes cannot pass
    together. Off while `settings.UPLOADS_PER_MINUTE` is 0.

    Raises:
        TooManyRequestsError: the client has used up its minute.
    """
    limit = settings.UPLOADS_PER_MINUTE
    if limit == 0:
        return
    now_s = time.time()
    minute = int(now_s // WINDOW_S)
    table = connection.ops.quote_name(UploadCount._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (client, minute, count) VALUES (%s, %s, 1) "  # noqa: S608
            f"ON CONFLICT (client, minute) DO UPDATE SET count = {table}.count + 1 "
            "RETURNING count",
            [_client_key(request), minute],
        )
        (count,) = cursor.fetchone()
    if count == 1:
        UploadCount.objects.filter(minute__lt=minute - KEPT_WINDOWS).delete()
    if count > limit:
        raise TooManyRequestsError(limit, math.ceil((minute + 1) * WINDOW_S - now_s))


def _client_key(request: HttpRequest) -> str:
    """Return a keyed hash of the client's address; one IPv6 network of 64 bits is one client."""
    address = str(request.META.get("REMOTE_ADDR", ""))
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:  # a Unix socket has none
        pass
    else:
        if parsed.version == 6:
            address = str(ipaddress.ip_network((parsed, 64), strict=False))
    return salted_hmac("recognition.limits", address, algorithm="sha256").hexdigest()
