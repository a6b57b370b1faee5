"""The decoder process, `python -m ml.decoder LIMITS`: the child that `ml.sandbox` talks to.

It imports little, so that it starts soon and takes little memory, and it gives up what it
does not need before it reads a byte of a stranger's file.
"""

import json
import math
import os
import signal
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Final

from PIL import AvifImagePlugin

from ml.errors import ImageError
from ml.images import decode_image, encode_jpeg
from ml.messages import BrokenMessageError, receive, send
from ml.preprocessing import Preprocessing, prepare

if sys.platform != "win32":
    import resource  # elsewhere only the parent's limit of time holds

SIDES: Final = ("copy_width_px", "copy_height_px", "width_px", "height_px")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the decoder may take: address space, and processor time and size of one picture."""

    memory_bytes: int
    cpu_s: float
    max_pixels: int
    max_file_bytes: int


def main() -> None:
    """Decode what comes in on the standard input until it is closed."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        # Meant for the parent, which still answers what it has accepted, and closes the pipe.
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    limits = Limits(**json.loads(sys.argv[1]))
    requests = FileIO(os.dup(0), "rb")
    replies = FileIO(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    warnings.simplefilter("ignore")  # Pillow's remarks on odd files concern nobody here
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # each would reserve memory under the ceiling
    _volunteer_for_the_oom_killer()
    _limit_memory(limits.memory_bytes)
    send(replies, {})
    while True:
        try:
            header, (data,) = receive(requests, max_body_bytes=limits.max_file_bytes)
        except BrokenMessageError:
            return
        _limit_cpu(limits.cpu_s)
        send(replies, *_answer(header, data, limits))


def _answer(
    header: Mapping[str, Any], data: bytes, limits: Limits
) -> tuple[dict[str, object], tuple[bytes, ...]]:
    try:
        decoded = decode_image(
            data, max_pixels=limits.max_pixels, max_file_bytes=limits.max_file_bytes
        )
        prepared = prepare(decoded.pixels, Preprocessing.from_dict(header["preprocessing"]))
        copy_jpeg = encode_jpeg(decoded.pixels)
    except ImageError as error:
        return {"error": error.code, "message": error.message}, ()
    except MemoryError:
        message = "The picture takes more memory than is allowed. Please send a smaller copy."
        return {"error": "bad_image", "message": message}, ()
    copy_height_px, copy_width_px, _ = decoded.pixels.shape
    sides_px = (copy_width_px, copy_height_px, decoded.width_px, decoded.height_px)
    reply: dict[str, object] = dict(zip(SIDES, sides_px, strict=True))
    reply["region"] = prepared.region
    return reply, (copy_jpeg, prepared.pixels.tobytes())


def _limit_memory(memory_bytes: int) -> None:
    if sys.platform == "win32":
        return
    try:
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        ceiling = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
        resource.setrlimit(resource.RLIMIT_AS, (ceiling, hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ValueError, OSError):
        # macOS knows the name but refuses the limit; the limit of time still holds.
        return


def _limit_cpu(cpu_s: float) -> None:
    """Move the limit, which counts from the child's start, `cpu_s` ahead of what is used."""
    if sys.platform == "win32":
        return
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    limit_s = math.ceil(usage.ru_utime + usage.ru_stime + cpu_s)
    if hard == resource.RLIM_INFINITY or limit_s < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (limit_s, hard))


def _volunteer_for_the_oom_killer() -> None:
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        return  # not Linux


if __name__ == "__main__":
    main()
