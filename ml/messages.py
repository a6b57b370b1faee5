"""What the decoder process and its parent say to each other over two pipes.

A message is the length of its header (four bytes, big-endian), the header (JSON) and the
bodies whose sizes the header lists. Nothing is ever unpickled, and every length is bounded
before it is believed.
"""

import json
from collections.abc import Mapping, Sequence
from io import FileIO
from typing import Any

MAX_HEADER_BYTES = 64 * 1024


class BrokenMessageError(Exception):
    """The other side is gone, or says what it never says."""


def send(pipe: FileIO, header: Mapping[str, object], bodies: Sequence[bytes] = ()) -> None:
    """Write one message; `OSError` when nobody reads it."""
    encoded = json.dumps({**header, "sizes": [len(body) for body in bodies]}).encode()
    for chunk in (len(encoded).to_bytes(4, "big") + encoded, *bodies):
        rest = memoryview(chunk)
        while rest:
            rest = rest[pipe.write(rest) :]


def receive(pipe: FileIO, *, max_body_bytes: int) -> tuple[dict[str, Any], list[bytes]]:
    """Read one message; `BrokenMessageError` at the pipe's end or for anything malformed."""
    size_bytes = int.from_bytes(_read_exactly(pipe, 4), "big")
    if size_bytes > MAX_HEADER_BYTES:
        raise BrokenMessageError(f"a header of {size_bytes} bytes")
    try:
        header = json.loads(_read_exactly(pipe, size_bytes))
        sizes_bytes = [int(size) for size in header["sizes"]]
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise BrokenMessageError("a malformed header") from error
    if any(not 0 <= size <= max_body_bytes for size in sizes_bytes):
        raise BrokenMessageError(f"bodies of {sizes_bytes} bytes")
    return header, [_read_exactly(pipe, size) for size in sizes_bytes]


def _read_exactly(pipe: FileIO, size_bytes: int) -> bytes:
    buffer = bytearray(size_bytes)
    rest = memoryview(buffer)
    while rest:
        count = pipe.readinto(rest)
        if not count:
            raise BrokenMessageError("the end of the pipe")
        rest = rest[count:]
    return bytes(buffer)
