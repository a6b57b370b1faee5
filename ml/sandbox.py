"""Uploads are decoded in a child process, so that a hostile file harms nothing but itself.

The child has a ceiling of memory and of processor time a picture, knows none of the parent's
secrets, and is started anew after its death. `ml.decoder` is that child; this is its parent.
"""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Final, Self, cast, get_args

import numpy as np

from ml.decoder import SIDES, Limits
from ml.errors import ImageError, ImageErrorCode, LacewingError
from ml.images import MAX_FILE_BYTES, MAX_PIXELS, check_file_size
from ml.messages import BrokenMessageError, receive, send
from ml.preprocessing import PreparedImage, Preprocessing

MAX_REPLY_BYTES = 64 * 1024 * 1024  # far more than a copy at working scale can take
_COMMAND = (sys.executable, "-m", "ml.decoder")
_ROOT = Path(__file__).resolve().parent.parent
# Of the parent's environment, what an interpreter needs to start; no secrets.
_ENVIRONMENT: Final = frozenset(
    {"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "SYSTEMROOT"}
)


class DecoderBusyError(LacewingError):
    """The decoder had other pictures to do for longer than the caller would wait."""

    def __init__(self) -> None:
        super().__init__("busy", "Too many pictures at once. Please try again in a moment.")

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(self), ()


class DecoderStartError(RuntimeError):
    """The child does not start: the installation is at fault, no picture is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedUpload:
    """What the site needs of an upload.

    `copy_jpeg` is a JPEG without metadata, made anew from the pixels at working scale;
    `width_px` and `height_px` are the upload's own upright size; `prepared` is the network's
    input.
    """

    copy_jpeg: bytes
    copy_width_px: int
    copy_height_px: int
    width_px: int
    height_px: int
    prepared: PreparedImage


class DecoderProcess:
    """A child process that decodes pictures, one at a time.

    Threads may share it: its lock is what keeps two decodes of one process from running at
    once. The child starts with the first picture, again after a death, and anew in a process
    that was forked; it ends with `close`, or with the process that started it.

    Args:
        memory_bytes: address space the child may take.
        cpu_s: processor time it may spend on one picture.
        wall_s: time one picture may take altogether.
        max_pixels: width times height that is still decoded.
        max_file_bytes: size of an upload that is still read.
    """

    def __init__(
        self,
        *,
        memory_bytes: int = 1 << 30,
        cpu_s: float = 10,
        wall_s: float = 15,
        max_pixels: int = MAX_PIXELS,
        max_file_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        self._limits = Limits(
            memory_bytes=memory_bytes,
            cpu_s=cpu_s,
            max_pixels=max_pixels,
            max_file_bytes=max_file_bytes,
        )
        self._wall_s = wall_s
        self._lock = threading.Lock()
        self._child: _Child | None = None
        _decoders.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the child, None while there is none."""
        child = self._child
        return child.pid if child is not None and child.is_alive else None

    def decode(
        self, data: bytes, preprocessing: Preprocessing, *, wait_s: float | None = None
    ) -> DecodedUpload:
        """Decode an uploaded file, waiting for its turn at most `wait_s` (None: for ever).

        Raises:
            ImageError: as `ml.images.decode_image` does, and `bad_image` when the file takes
                too much time or memory or breaks the decoder.
            DecoderBusyError: its turn did not come in time.
            DecoderStartError: the child does not start.
        """
        check_file_size(len(data), self._limits.max_file_bytes)
        if not self._lock.acquire(timeout=-1 if wait_s is None else wait_s):
            raise DecoderBusyError
        try:
            child = self._running_child()
            try:
                return child.decode(data, preprocessing, wall_s=self._wall_s)
            except (OSError, BrokenMessageError) as error:
                raise ImageError("bad_image", child.last_words()) from error
        finally:
            self._lock.release()

    def start(self) -> None:
        """Start the child now, so that the first picture need not wait for it."""
        with self._lock:
            self._running_child()

    def close(self) -> None:
        """End the child, after the picture it is decoding."""
        with self._lock:
            if self._child is not None:
                self._child.end()
                self._child = None

    def _running_child(self) -> "_Child":
        if self._child is None or not self._child.is_alive:
            self._child = _Child(self._limits, wall_s=self._wall_s)
        return self._child

    def forget_child(self) -> None:
        """Let go, in a forked process, of the child and the lock: both may be the parent's."""
        self._lock = threading.Lock()
        if self._child is not None:
            self._child.end()
            self._child = None


class _Child:
    """One running child and the pipes to it."""

    def __init__(self, limits: Limits, *, wall_s: float) -> None:
        environment = {name: os.environ[name] for name in _ENVIRONMENT & os.environ.keys()}
        # More threads than one would reserve memory under the ceiling and gain nothing.
        environment |= {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
        try:
            process = subprocess.Popen(
                [*_COMMAND, json.dumps(asdict(limits))],
                bufsize=0,  # a fork must not inherit bytes that are half sent
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=_ROOT,
                env=environment,
            )
        except OSError as error:
            raise DecoderStartError(f"The decoder process cannot be started: {error}.") from error
        self._process = process
        self._to_child = cast(FileIO, process.stdin)
        self._from_child = cast(FileIO, process.stdout)
        self._timed_out = False
        self._end = weakref.finalize(self, _end, process, os.getpid())
        try:
            with self._at_most(wall_s):
                receive(self._from_child, max_body_bytes=MAX_REPLY_BYTES)
        except (OSError, BrokenMessageError) as error:
            self.end()
            raise DecoderStartError(
                f"The decoder process ended as it started, with status {process.returncode}; "
                "its own message stands above in the log."
            ) from error

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._end.alive and self._process.poll() is None

    def end(self) -> None:
        """Kill the child, unless another process started it, and close the pipes to it."""
        self._end()

    def decode(self, data: bytes, preprocessing: Preprocessing, *, wall_s: float) -> DecodedUpload:
        """Send one picture and read the answer; after any surprise the child is ended."""
        try:
            with self._at_most(wall_s):
                send(self._to_child, {"preprocessing": preprocessing.to_dict()}, (data,))
                header, bodies = receive(self._from_child, max_body_bytes=MAX_REPLY_BYTES)
            return _read_reply(header, bodies, preprocessing)
        except ImageError:
            raise
        except BaseException:
            # A late answer, left in the pipe, would be taken for the next picture's.
            self.end()
            raise

    def last_words(self) -> str:
        """Say for people why the child died."""
        if self._timed_out or self._process.returncode == -getattr(signal, "SIGXCPU", 0):
            return "Decoding the picture takes too long. Please send a smaller or simpler copy."
        return (
            "The picture cannot be decoded: it takes too much memory or is damaged. "
            "Please open it in an image program, save it again and send that."
        )

    @contextmanager
    def _at_most(self, wall_s: float) -> Iterator[None]:
        """Kill the child if the block takes longer, which ends the block's wait for it."""
        watchdog = threading.Timer(wall_s, self._time_out)
        watchdog.daemon = True
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()
            watchdog.join()  # a kill that is under way must not strike the next picture

    def _time_out(self) -> None:
        self._timed_out = True
        self._process.kill()


def _end(process: subprocess.Popen[bytes], owner_pid: int) -> None:
    if os.getpid() == owner_pid:
        process.kill()
        process.wait()
    else:
        process.poll()  # not ours to wait for: lets Popen take it for ended
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


_decoders: weakref.WeakSet[DecoderProcess] = weakref.WeakSet()


def _forget_children() -> None:
    for decoder in _decoders:
        decoder.forget_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_children)


def _read_reply(
    header: Mapping[str, Any], bodies: Sequence[bytes], preprocessing: Preprocessing
) -> DecodedUpload:
    """Check the child's answer, which a picture may have corrupted, and return it."""
    if "error" in header:
        code = header["error"]
        if code not in get_args(ImageErrorCode):
            raise BrokenMessageError(f"error code {code!r}")
        raise ImageError(code, str(header.get("message")))
    channels = 3 if preprocessing.color == "rgb" else 1
    shape = (preprocessing.height_px, preprocessing.width_px, channels)
    try:
        copy_jpeg, prepared = bodies
        left, top, right, bottom = (float(edge) for edge in header["region"])
        sides_px = [int(header[name]) for name in SIDES]
        pixels = np.frombuffer(prepared, np.uint8).reshape(shape)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise BrokenMessageError("a malformed answer") from error
    region = (left, top, right, bottom)
    if not all(map(math.isfinite, region)) or min(sides_px) < 1:
        raise BrokenMessageError("an answer out of range")
    if not copy_jpeg.startswith(b"\xff\xd8\xff"):
        raise BrokenMessageError("a copy that is not a JPEG")
    return DecodedUpload(
        copy_jpeg=copy_jpeg,
        prepared=PreparedImage(pixels=pixels, region=region),
        **dict(zip(SIDES, sides_px, strict=True)),
    )
