"""Who is alive on this machine: locks on files that the system lets go of with their holder.

A process that is killed leaves no lock behind, whatever it was doing, so that "does it still
live?" has an exact answer without waiting for a time to run out.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

GLANCE_S = 0.2  # for which `is_held` of another process may be in the way
RETRY_S = 0.05


class LockedError(Exception):
    """Another process holds the lock."""


@contextmanager
def held(name: str, *, wait_s: float = GLANCE_S) -> Iterator[int]:
    """Hold the lock `name`, waiting for at most `wait_s`; yield its file descriptor.

    A child that inherits the descriptor holds the lock too, until it ends.

    Raises:
        LockedError: another process holds it.
    """
    path = _path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline_s = time.monotonic() + wait_s
        while not _take(descriptor):
            if time.monotonic() > deadline_s:
                raise LockedError(name)
            time.sleep(RETRY_S)
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())  # for people who look
        yield descriptor
    finally:
        os.close(descriptor)


def is_held(name: str) -> bool:
    """Return whether a living process holds the lock `name`."""
    try:
        descriptor = os.open(_path(name), os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def forget(name: str) -> None:
    """Delete the file of a lock that nobody will take again."""
    _path(name).unlink(missing_ok=True)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _path(name: str) -> Path:
    return Path(settings.DATA_DIR) / "locks" / f"{name}.lock"
