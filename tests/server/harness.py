"""A `Server` of `classifier_site.connections` in threads of the test, around any WSGI app."""

import json
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

from waitress import wasyncore
from waitress.task import ThreadedTaskDispatcher

from classifier_site.balance import LoadBoard
from classifier_site.connections import Server
from classifier_site.server import adjustments

WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def describe(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer with what arrived."""
    seen = {
        "length": environ.get("CONTENT_LENGTH"),
        "received": len(environ["wsgi.input"].read()),
        "address": environ["REMOTE_ADDR"],
        "scheme": environ["wsgi.url_scheme"],
    }
    body = json.dumps(seen).encode()
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    )
    return [body]


class ServerInThread(AbstractContextManager["ServerInThread"]):
    """Serves `app` on a free port of 127.0.0.1, or on a given listening socket."""

    def __init__(
        self,
        app: WSGIApp = describe,
        *,
        board: LoadBoard | None = None,
        listener: socket.socket | None = None,
        threads: int = 2,
        longest_sleep_s: float = 0.05,
    ) -> None:
        self.longest_sleep_s = longest_sleep_s
        self.board = board or LoadBoard(4)
        self.listener = listener or socket.create_server(("127.0.0.1", 0))
        self.map: dict[int, Any] = {}
        self.dispatcher = ThreadedTaskDispatcher()
        self.dispatcher.set_thread_count(threads)
        self.server = Server(
            app,
            self.map,
            _sock=self.listener.dup(),
            dispatcher=self.dispatcher,
            adj=adjustments(),
            sockinfo=(socket.AF_INET, socket.SOCK_STREAM, 0, None),
            bind_socket=False,
            board=self.board,
            slot=self.board.take_slot(),
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stopping.is_set():
            timeout_s = self.server.poll_timeout_s(self.longest_sleep_s)
            wasyncore.loop(timeout=timeout_s, use_poll=True, map=self.map, count=1)

    def __enter__(self) -> "ServerInThread":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self.server.pull_trigger()
        self._thread.join()
        self.dispatcher.shutdown()
        wasyncore.close_all(self.map)
        self.listener.close()

    def connect(self) -> socket.socket:
        """Return a new connection to the server."""
        return socket.create_connection(self.listener.getsockname(), timeout=10)

    def exchange(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send `request`, read the answer until the server closes or it is complete."""
        with self.connect() as connection:
            connection.sendall(request)
            return read_answer(connection)


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers by lower-case name, and body."""
    with connection.makefile("rb") as file:
        status = int(file.readline().split()[1])
        headers = {}
        while line := file.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, file.read(int(headers.get("content-length", "0")))
