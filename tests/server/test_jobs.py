"""Real workers that are killed again and again: nothing is lost, nothing is done twice."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.killed_workers import (
    measure_jobs,
    measure_trainings,
    worker_process,
    write_colors,
)
from benchmarks.server import RunningServer

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[RunningServer]:
    with RunningServer(settings={"WORKERS": "1"}) as running:
        yield running


def test_jobs_of_workers_that_are_killed_all_end_and_none_twice(server: RunningServer) -> None:
    result = measure_jobs(server, jobs=60, kills=5)

    assert result.states == {"SUCCESSFUL": 60}
    assert result.rows == result.files == list(range(60))


def test_a_training_that_is_killed_again_and_again_ends_as_one_that_was_not(
    server: RunningServer, tmp_path: Path
) -> None:
    result = measure_trainings(server, write_colors(tmp_path / "colors"), kills=3)

    assert result.unbroken["state"] == "done"
    assert result.unbroken["versions"] == 1
    for run in result.broken:
        assert run == result.unbroken
    assert result.half_written == 0


def test_a_killed_worker_is_begun_again_and_ends_with_its_server(server: RunningServer) -> None:
    first = _wait_for_worker(server, but=None)
    os.kill(first, signal.SIGKILL)
    second = _wait_for_worker(server, but=first)

    assert server.stop() == 0

    assert not Path(f"/proc/{second}").exists()


def test_a_worker_does_not_outlive_a_server_that_is_killed(server: RunningServer) -> None:
    worker = _wait_for_worker(server, but=None)
    assert server.process is not None
    server.process.kill()

    deadline_s = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


def test_no_worker_runs_beside_a_server_that_is_told_so() -> None:
    with RunningServer(settings={"WORKERS": "1", "JOBS": "false"}) as server:
        time.sleep(6)

        assert worker_process(server) is None


def _wait_for_worker(server: RunningServer, *, but: int | None) -> int:
    deadline_s = time.monotonic() + 30
    while (found := worker_process(server)) is None or found == but:
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    return found
