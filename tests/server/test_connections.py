import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from classifier_site import connections
from classifier_site.balance import LoadBoard
from tests.server.harness import ServerInThread, describe, read_answer

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def server() -> Iterator[ServerInThread]:
    with ServerInThread() as running:
        yield running


@pytest.fixture
def small_limit(settings: Any) -> int:
    """Allow 100,000 bytes a picture; return how many bytes a body may then have."""
    settings.MAX_UPLOAD_BYTES = 100_000
    return 100_000 + 64 * 1024


def post(body: bytes, *headers: bytes) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return HEAD + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_small_request_is_answered_and_its_connection_kept(server: ServerInThread) -> None:
    with server.connect() as connection:
        for body in (b"one", b"three"):
            connection.sendall(post(body))
            status, headers, content = read_answer(connection)
            assert status == 200
            assert json.loads(content)["received"] == len(body)
            assert "connection" not in headers
            assert "server" not in headers


def test_connection_closes_after_an_upload_so_that_the_next_goes_to_a_free_worker(
    server: ServerInThread,
) -> None:
    body = bytes(connections.UPLOAD_BYTES + 1)

    with server.connect() as connection:
        connection.sendall(post(body))
        status, headers, content = read_answer(connection)

        assert (status, headers["connection"]) == (200, "close")
        assert json.loads(content)["received"] == len(body)
        assert connection.recv(1) == b""


def test_body_over_the_limit_is_drained_and_never_kept(
    small_limit: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    body = bytes(small_limit + 1)

    with ServerInThread() as server:
        status, _, content = server.exchange(post(body))

    assert status == 200  # the application refuses it by its length; here it only describes
    assert json.loads(content) == {
        "length": str(len(body)),
        "received": 0,
        "address": "127.0.0.1",
        "scheme": "http",
    }


def test_body_of_exactly_the_limit_is_kept(small_limit: int) -> None:
    with ServerInThread() as server:
        _, _, content = server.exchange(post(bytes(small_limit)))

    assert json.loads(content)["received"] == small_limit


def test_client_that_asks_before_sending_too_much_is_answered_at_once(small_limit: int) -> None:
    request = HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (small_limit + 1)

    with ServerInThread() as server:
        status, headers, content = server.exchange(request)

    assert (status, headers["connection"]) == (200, "close")
    assert json.loads(content)["received"] == 0


def test_chunked_body_is_put_together(server: ServerInThread) -> None:
    request = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"

    status, _, content = server.exchange(request)

    assert status == 200
    assert json.loads(content)["length"] == "6"


def test_chunked_body_over_the_limit_is_413(small_limit: int) -> None:
    chunk = b"%x\r\n%s\r\n" % (small_limit, bytes(small_limit))

    with ServerInThread() as server:
        status, headers, content = server.exchange(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk
        )

    error = json.loads(content)["error"]
    assert (status, error["code"]) == (413, "file_too_large")
    assert error["request_id"] == headers["x-request-id"]
    assert str(small_limit) in error["message"]


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"Content-Length: abc\r\n", 400),
        (b"Content-Length: -1\r\n", 400),
        (b"Content-Length: 1, 2\r\n", 400),
        (b"Transfer-Encoding: gzip\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"no colon\r\n", 400),
        (b"X: " + b"x" * 300_000 + b"\r\n", 431),
    ],
)
def test_malformed_request_is_refused_as_json_and_never_as_a_server_error(
    server: ServerInThread, lines: bytes, status: int
) -> None:
    received, headers, content = server.exchange(HEAD + lines + b"\r\n")

    assert received == status
    assert headers["content-type"] == "application/json"
    assert headers["connection"] == "close"
    assert set(json.loads(content)["error"]) == {"code", "message", "request_id"}


def test_request_that_stops_arriving_is_refused(
    server: ServerInThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "GRACE_S", 0.2)
    server.server.adj.cleanup_interval = 0.05

    status, _, content = server.exchange(HEAD + b"Content-Length: 1000\r\n\r\nfew")

    error = json.loads(content)["error"]
    assert (status, error["code"]) == (400, "bad_request")
    assert "3 of 1000 bytes" in error["message"]


def test_steady_upload_outlives_the_grace_period(
    server: ServerInThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "GRACE_S", 0.2)
    monkeypatch.setattr(connections, "MINIMUM_RATE_BYTES_PER_S", 10)
    server.server.adj.cleanup_interval = 0.05
    pause = threading.Event()

    with server.connect() as connection:
        connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n")
        for _ in range(5):
            connection.sendall(bytes(200))
            pause.wait(0.1)
        status, _, content = read_answer(connection)

    assert status == 200
    assert json.loads(content)["received"] == 1000


def test_forwarded_address_counts_only_from_the_trusted_proxy(settings: Any) -> None:
    forwarded = b"X-Forwarded-For: 203.0.113.9", b"X-Forwarded-Proto: https"

    with ServerInThread() as server:
        _, _, untrusted = server.exchange(post(b"", *forwarded))
    settings.TRUSTED_PROXY = "127.0.0.1"
    with ServerInThread() as server:
        _, _, trusted = server.exchange(post(b"", *forwarded))

    assert json.loads(untrusted)["address"] == "127.0.0.1"
    assert json.loads(untrusted)["scheme"] == "http"
    assert json.loads(trusted)["address"] == "203.0.113.9"
    assert json.loads(trusted)["scheme"] == "https"


def test_failing_application_is_a_500_without_its_traceback() -> None:
    def fail(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        raise RuntimeError("the secret of the traceback")

    with ServerInThread(fail) as server:
        status, _, content = server.exchange(post(b""))

    assert (status, json.loads(content)["error"]["code"]) == (500, "internal_error")
    assert b"secret" not in content


@pytest.mark.slow  # who is less busy is told by time: it needs the machine for itself
def test_new_connections_go_to_the_less_busy_worker() -> None:
    """Two workers on one socket, one of them busy: the other takes every new connection."""
    release = threading.Event()
    answered_by: list[str] = []

    def app_of(name: str) -> Any:
        def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
            if environ["PATH_INFO"] == "/wait":
                release.wait(10)
            answered_by.append(name)
            return describe(environ, start_response)

        return app

    board = LoadBoard(4)
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        with ServerInThread(app_of("busy"), board=board, listener=listener) as busy:
            waiting = [busy.connect() for _ in range(3)]
            for connection in waiting:
                connection.sendall(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while busy.server.load < len(waiting):
                threading.Event().wait(0.01)
            with ServerInThread(app_of("idle"), board=board, listener=listener.dup()) as idle:
                for _ in range(20):
                    assert idle.exchange(post(b""))[0] == 200
                taken = list(answered_by)
            release.set()
            for connection in waiting:
                assert read_answer(connection)[0] == 200
                connection.close()
    finally:
        release.set()

    assert taken.count("idle") >= 18  # a machine under load may delay one beyond the patience


def test_worker_takes_a_connection_that_the_less_busy_one_leaves_lying() -> None:
    board = LoadBoard(4)
    board.take_slot()  # a worker that hangs: idle by its number, and never accepting
    with ServerInThread(board=board, longest_sleep_s=30) as server:
        board.publish(server.server.slot, 1)
        assert server.exchange(post(b""))[0] == 200
