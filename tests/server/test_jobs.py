"""Real workers that are killed again and again: nothing is lost, nothing is done twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.killed_workers import measure_jobs, measure_trainings, write_colors
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
