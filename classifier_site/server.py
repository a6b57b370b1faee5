"""The production server: gunicorn supervises the processes, waitress speaks HTTP in each.

Gunicorn brings forking, restarts and signals; its own workers, though, let a slow upload
hold a thread, and let one process take every connection that is kept alive. So each worker
runs waitress's event loop (`classifier_site.connections`) on the socket it inherits.
"""

import gc
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

from django.conf import settings
from django.urls import get_resolver
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.task import ThreadedTaskDispatcher

from classifier_site import memory
from classifier_site.balance import LoadBoard
from classifier_site.connections import SWEEP_INTERVAL_S, Server
from classifier_site.job_process import JobProcess
from recognition.middleware import MULTIPART_OVERHEAD_BYTES

GRACEFUL_TIMEOUT_S: Final = 28  # to finish accepted requests; then the worker is killed
HANG_TIMEOUT_S: Final = 60  # an event loop that stands still for so long is killed
LINGER_S: Final = 0.5  # in which clients learn that their connections end
LOOP_TIMEOUT_S: Final = 0.5
BACKLOG: Final = 1024
CONNECTION_LIMIT: Final = 1000
RECEIVE_BYTES: Final = 256 * 1024
BODY_IN_MEMORY_BYTES: Final = 1024 * 1024  # larger bodies wait in an unnamed temporary file

logger = logging.getLogger("lacewing.server")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to `host` and `port`, so that a port in use is known at once.

    Raises:
        OSError: the address is in use, not of this machine, or not allowed.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


class ServerLogger(Logger):
    """Lets gunicorn's records flow into the log that the settings describe."""

    def setup(self, cfg: Any) -> None:
        """Leave handlers and levels as `settings.LOGGING` made them."""
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.propagate = True

    def reopen_files(self) -> None:
        """Do nothing: the log goes to stderr."""

    def close_on_exec(self) -> None:
        """Do nothing: the log goes to stderr."""


class Supervisor(Arbiter):
    """Gunicorn's master; Ctrl-C, which reaches it and every worker, ends it gracefully too.

    It looks after one process more, which does the jobs that wait.
    """

    jobs: JobProcess | None = None

    def manage_workers(self) -> None:
        """Keep the processes running; called about once a second."""
        super().manage_workers()
        if self.jobs is not None:
            self.jobs.keep_running()

    def let_go(self) -> None:
        """Close what a child does not serve."""
        for listener in self.LISTENERS:
            listener.sock.close()

    def stop(self, graceful: bool = True) -> None:
        """End all of them, at the same time."""
        deadline_s = time.monotonic() + GRACEFUL_TIMEOUT_S
        if self.jobs is not None:
            self.jobs.stop()
        super().stop(graceful)
        if self.jobs is not None:
            self.jobs.wait(max(0.0, deadline_s - time.monotonic()))

    def handle_int(self) -> None:
        """Treat SIGINT as SIGTERM."""
        self.handle_term()


class WaitressWorker(Worker):
    """One process: an event loop for connections, a few threads for Django."""

    slot: int
    board: LoadBoard

    def init_signals(self) -> None:
        """Stop on SIGTERM; leave SIGINT to the master, which turns it into SIGTERM."""
        super().init_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin a graceful stop; the wake-up ends the event loop's sleep."""
        super().handle_exit(sig, frame)
        for server in self.servers:
            server.pull_trigger()

    def init_process(self) -> None:
        """Begin serving in the forked process."""
        self.servers: list[Server] = []
        super().init_process()

    def run(self) -> None:
        """Serve until told to stop, then finish what was accepted."""
        start_serving()
        connections: dict[int, wasyncore.dispatcher] = {}
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(settings.THREADS)
        self.servers = [
            Server(
                self.wsgi,
                connections,
                _sock=listener.sock,
                dispatcher=dispatcher,
                adj=adjustments(),
                sockinfo=(listener.sock.family, listener.sock.type, 0, listener.sock.getsockname()),
                bind_socket=False,
                board=self.board,
                slot=self.slot,
            )
            for listener in self.sockets
        ]

        notified_s = 0.0

        def turn() -> None:
            nonlocal notified_s
            if time.monotonic() > notified_s + LOOP_TIMEOUT_S:
                self.notify()
                notified_s = time.monotonic()
            timeout_s = min(server.poll_timeout_s(LOOP_TIMEOUT_S) for server in self.servers)
            wasyncore.loop(timeout=timeout_s, use_poll=True, map=connections, count=1)

        while self.alive and os.getppid() == self.ppid:
            turn()
        self._finish(turn)
        dispatcher.shutdown(timeout=1)

    def _finish(self, turn: Callable[[], None]) -> None:
        """Answer the requests that have begun to arrive; give up when time is over.

        For a moment everything is served as before, with answers that close: a client that
        is about to send on a connection it keeps must not find it closed under its hands.
        """
        for server in self.servers:
            server.is_stopping = True
        began_s = time.monotonic()
        while time.monotonic() < began_s + LINGER_S and any(
            server.active_channels for server in self.servers
        ):
            turn()
        for server in self.servers:
            server.stop_accepting()
        deadline_s = began_s + GRACEFUL_TIMEOUT_S - 1
        while sum(server.close_idle_connections() for server in self.servers):
            if time.monotonic() > deadline_s:
                logger.warning("Stopping with requests unfinished after %s s.", GRACEFUL_TIMEOUT_S)
                break
            turn()


class LacewingServer(BaseApplication):
    """The server on a socket that is bound already."""

    def __init__(self, listener: socket.socket, *, on_ready: Callable[[], None]) -> None:
        self._listener = listener
        self._on_ready = on_ready
        self._board = LoadBoard(slots=4 * settings.WORKERS)  # a reload doubles the workers
        super().__init__()

    def load_config(self) -> None:
        """Configure gunicorn: everything here, nothing from files or the command line."""
        options = {
            "bind": f"fd://{self._listener.fileno()}",
            "workers": settings.WORKERS,
            "worker_class": WaitressWorker,
            "preload_app": True,
            "timeout": HANG_TIMEOUT_S,
            "graceful_timeout": GRACEFUL_TIMEOUT_S,
            "backlog": BACKLOG,
            "logger_class": ServerLogger,
            "control_socket_disable": True,
            "proc_name": "lacewing",
            "pre_fork": self._assign_slot,
            "child_exit": self._release_slot,
            "when_ready": self._when_ready,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """Return the WSGI application, loaded in the master so that workers share its memory."""
        from classifier_site.wsgi import application

        return application

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; exits the process."""
        supervisor = Supervisor(self)
        if settings.JOBS:
            supervisor.jobs = JobProcess(do_jobs, in_child=supervisor.let_go)
        supervisor.run()

    def _when_ready(self, _arbiter: Supervisor) -> None:
        gc.collect()
        gc.freeze()  # a collection in a worker would touch, and so copy, the shared pages
        self._on_ready()

    def _assign_slot(self, _arbiter: Supervisor, worker: WaitressWorker) -> None:
        worker.board = self._board
        worker.slot = self._board.take_slot()

    def _release_slot(self, _arbiter: Supervisor, worker: WaitressWorker) -> None:
        self._board.release_slot(worker.slot)


def import_site() -> None:
    """Import every view and compile the addresses: once, for all processes forked later."""
    get_resolver()._populate()


def start_serving() -> None:
    """Load the active model versions and start the decoder: in the worker, after the fork.

    The decoder takes a quarter of a second to start, which no page has to wait for; an
    upload that comes earlier does.
    """
    from recognition import decoding, serving

    memory.limit_malloc()
    threading.Thread(target=decoding.decoder().start, name="decoder-start", daemon=True).start()
    serving.registry.start()
    memory.return_free_memory()  # loading verifies, which takes more than serving


def do_jobs(parent: int) -> None:
    """Do the jobs that wait, in a process of its own, until told to stop or `parent` is gone."""
    from recognition.worker import JobWorker

    memory.limit_malloc()
    JobWorker(parent=parent).run()


def adjustments() -> Adjustments:
    """Return waitress's settings."""
    proxy: dict[str, Any] = {}
    if settings.TRUSTED_PROXY:
        proxy = {
            "trusted_proxy": settings.TRUSTED_PROXY,
            "trusted_proxy_headers": {"x-forwarded-for", "x-forwarded-proto"},
        }
    adjusted = Adjustments(
        threads=settings.THREADS,
        ident="",
        backlog=BACKLOG,
        connection_limit=CONNECTION_LIMIT,
        channel_timeout=30,
        cleanup_interval=SWEEP_INTERVAL_S,
        recv_bytes=RECEIVE_BYTES,
        inbuf_overflow=BODY_IN_MEMORY_BYTES,
        max_request_body_size=1 << 40,  # the parser has its own, finer limit
        asyncore_use_poll=True,
        clear_untrusted_proxy_headers=True,
        **proxy,
    )
    adjusted.stored_body_bytes = settings.MAX_UPLOAD_BYTES + MULTIPART_OVERHEAD_BYTES
    return adjusted
