"""Decoding of uploads: one child process for each process of the site, one picture at a time."""

import os
import threading
from typing import Final

from django.conf import settings

from ml.preprocessing import Preprocessing
from ml.sandbox import DecodedUpload, DecoderBusyError, DecoderProcess
from recognition.errors import BusyError

WAIT_S: Final = 10.0

_decoder: DecoderProcess | None = None
_lock = threading.Lock()


def decoder() -> DecoderProcess:
    """Return this process's decoder; its child starts with the first picture."""
    global _decoder
    with _lock:
        if _decoder is None:
            _decoder = DecoderProcess(
                max_pixels=settings.MAX_PIXELS, max_file_bytes=settings.MAX_UPLOAD_BYTES
            )
        return _decoder


def decode(data: bytes, preprocessing: Preprocessing) -> DecodedUpload:
    """Decode an upload in the child process, waiting for its turn at most `WAIT_S`.

    Raises:
        ImageError: the picture cannot be used.
        BusyError: its turn did not come.
    """
    try:
        return decoder().decode(data, preprocessing, wait_s=WAIT_S)
    except DecoderBusyError:
        raise BusyError from None


def _forget_after_fork() -> None:
    """Leave the parent's child to the parent, and its lock, which may be held for ever."""
    global _decoder, _lock
    _decoder, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget_after_fork)
