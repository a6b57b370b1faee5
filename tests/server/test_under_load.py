"""Real servers, started as `make run` starts them, under what people and machines do to them."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import slow_clients, swap_under_load
from benchmarks.client import run_load, upload_request
from benchmarks.server import RunningServer
from tests.networks import write_color_artifact
from tests.recognition.pictures import make_picture

pytestmark = pytest.mark.slow

SLUG = "colors"
UPLOAD_PATH = f"/api/v1/recognizers/{SLUG}/predictions"


@contextmanager
def serving_colors(directory: Path) -> Iterator[RunningServer]:
    """Run two workers whatever the machine, so that they have to share."""
    write_color_artifact(directory / "version")
    with RunningServer(
        settings={"WORKERS": "2", "SERVING_POLL_S": "0.2", "JOBS": "false"}
    ) as running:
        running.run_module("benchmarks.versions", "register", SLUG, str(directory / "version"))
        wait_until_served(running)
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving_colors(tmp_path_factory.mktemp("shared")) as running:
        yield running


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RunningServer]:
    """Run a server that the test may end."""
    with serving_colors(tmp_path) as running:
        yield running


def wait_until_served(server: RunningServer) -> None:
    """Wait until both workers serve the recognizer: some answers in a row say so."""
    in_a_row = 0
    for _ in range(200):
        ready = json.loads(server.get("/readyz")[1])
        in_a_row = in_a_row + 1 if SLUG in ready["recognizers"] else 0
        if in_a_row == 10:
            return
        time.sleep(0.05)
    pytest.fail(server.log())


def workers_of(master: int) -> list[int]:
    """Return the ids of the worker processes."""
    return [int(pid) for pid in Path(f"/proc/{master}/task/{master}/children").read_text().split()]


def wait_until(holds: Callable[[], bool], timeout_s: float = 30.0) -> None:
    """Wait until `holds`, or fail."""
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def stored_pictures(server: RunningServer) -> int:
    return len(list((server.data_dir / "media").rglob("*.jpg")))


def test_normal_uploads_are_served_beside_many_slow_ones(server: RunningServer) -> None:
    result = asyncio.run(
        slow_clients.measure(server, SLUG, make_picture(), slow_clients=200, uploads=10)
    )

    assert result.upload_statuses == {201: 10}
    assert max(result.uploads_s) < 2  # the bar; seconds are what this is about
    assert result.cut_statuses == {"400": 200}


def test_swapping_versions_fails_no_request_and_mixes_no_labels(server: RunningServer) -> None:
    result = asyncio.run(
        swap_under_load.measure(server, SLUG, make_picture(), swaps=20, pause_s=0.3)
    )

    assert result.failed == 0, result.answers
    assert result.mismatches == 0
    assert len(result.versions) == 2


def test_every_answered_upload_is_stored_and_every_status_is_created(
    server: RunningServer,
) -> None:
    request = upload_request(server.host, server.port, UPLOAD_PATH, make_picture())
    before = stored_pictures(server)

    load = asyncio.run(run_load(server.host, server.port, [request], clients=8, duration_s=2))

    assert set(load.statuses) == {"201"}
    assert stored_pictures(server) - before == load.statuses["201"]


def test_body_over_the_limit_leaves_nothing_behind(server: RunningServer) -> None:
    request = upload_request(server.host, server.port, UPLOAD_PATH, bytes(21 * 1024 * 1024))
    before = stored_pictures(server), server.process_ids()

    async def send() -> tuple[int, bytes]:
        from benchmarks.client import Client

        async with Client(server.host, server.port) as client:
            answer = await client.send(request)
            return answer.status, answer.body

    status, body = asyncio.run(send())

    assert (status, json.loads(body)["error"]["code"]) == (413, "file_too_large")
    assert (stored_pictures(server), server.process_ids()) == before


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_stop_answers_every_accepted_upload(
    own_server: RunningServer, stop: signal.Signals
) -> None:
    request = upload_request(own_server.host, own_server.port, UPLOAD_PATH, make_picture())
    process = own_server.process
    assert process is not None

    def stop_later() -> None:
        time.sleep(0.7)
        os.killpg(process.pid, stop)  # Ctrl-C reaches the whole group

    stopping = threading.Thread(target=stop_later)
    stopping.start()
    load = asyncio.run(
        run_load(own_server.host, own_server.port, [request], clients=4, duration_s=2)
    )
    stopping.join()

    assert process.wait(30) == 0
    refused = {"ConnectionRefusedError", "ConnectionResetError"}  # the socket was closed by then
    assert set(load.statuses) <= {"201"} | refused
    assert stored_pictures(own_server) == load.statuses["201"]


def test_reload_replaces_the_workers_and_fails_no_request(own_server: RunningServer) -> None:
    request = upload_request(own_server.host, own_server.port, UPLOAD_PATH, make_picture())
    assert own_server.process is not None
    master = own_server.process.pid
    before = set(workers_of(master))
    reloading = threading.Timer(0.7, os.kill, (master, signal.SIGHUP))
    reloading.start()

    load = asyncio.run(
        run_load(own_server.host, own_server.port, [request], clients=4, duration_s=5)
    )
    reloading.join()

    assert set(load.statuses) == {"201"}
    wait_until(lambda: len(workers_of(master)) == 2 and not before & set(workers_of(master)))


def test_killed_worker_is_replaced_and_serves_again(own_server: RunningServer) -> None:
    assert own_server.process is not None
    master = own_server.process.pid
    killed = workers_of(master)[0]
    os.kill(killed, signal.SIGKILL)

    wait_until(lambda: len(workers_of(master)) == 2 and killed not in workers_of(master))
    wait_until_served(own_server)


def test_preparing_again_does_nothing_and_prints_no_password(server: RunningServer) -> None:
    assert server.manage("prepare") == ""


def test_second_server_on_the_port_ends_with_one_line(server: RunningServer) -> None:
    finished = subprocess.run(
        [sys.executable, "manage.py", "serve"],
        env=server.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert finished.returncode == 2
    (line,) = finished.stderr.splitlines()
    assert f"Port {server.port} on 127.0.0.1 is in use" in line
