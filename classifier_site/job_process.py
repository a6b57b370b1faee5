"""The worker beside the server: begun, begun again when it dies, ended with it."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Final

FIRST_START_AFTER_S: Final = 3.0  # the first pages come first
SHORTEST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0
SETTLED_AFTER_S: Final = 10.0  # a worker that lived so long died of something new

logger = logging.getLogger("lacewing.server")


class JobProcess:
    """A child of the server's main process, forked from it so that they share memory.

    Args:
        work: what the child does; its own process, which it must not outlive, is its parent.
        in_child: called first in the child, to let go of what is the server's.
    """

    def __init__(self, work: Callable[[int], None], *, in_child: Callable[[], None]) -> None:
        self._work = work
        self._in_child = in_child
        self._pid: int | None = None
        self._began_s = 0.0
        self._pause_s = SHORTEST_PAUSE_S
        self._due_s = time.monotonic() + FIRST_START_AFTER_S

    def keep_running(self) -> None:
        """Begin it if it is not there and due; call this about once a second."""
        if self._is_running():
            return
        now_s = time.monotonic()
        if self._pid is not None:
            lived_s = now_s - self._began_s
            if lived_s > SETTLED_AFTER_S:
                self._pause_s = SHORTEST_PAUSE_S
            logger.warning("The worker ended after %.0f s; it is begun again.", lived_s)
            self._pid = None
            self._due_s = now_s + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        if now_s >= self._due_s:
            self._begin()

    def stop(self) -> None:
        """Tell it to end."""
        if self._pid is not None and self._is_running():
            os.kill(self._pid, signal.SIGTERM)

    def wait(self, timeout_s: float) -> None:
        """Wait for its end; kill it when time is over."""
        deadline_s = time.monotonic() + timeout_s
        while self._is_running():
            if time.monotonic() > deadline_s and self._pid is not None:
                os.kill(self._pid, signal.SIGKILL)
            time.sleep(0.05)
        self._pid = None

    def _begin(self) -> None:
        parent = os.getpid()
        self._began_s = time.monotonic()
        self._pid = os.fork()
        if self._pid:
            return
        returncode = 1
        try:
            for number in range(1, signal.NSIG):
                _reset(number)
            self._in_child()
            self._work(parent)
            returncode = 0
        except BaseException:
            logger.exception("The worker failed.")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(returncode)

    def _is_running(self) -> bool:
        if self._pid is None:
            return False
        try:
            pid, _status = os.waitpid(self._pid, os.WNOHANG)
        except ChildProcessError:
            return False  # whoever waits for all children has seen its end
        return pid == 0


def _reset(number: int) -> None:
    """Let go of a handler that the server's main process has."""
    try:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    except (OSError, ValueError):
        pass  # one that cannot be handled
