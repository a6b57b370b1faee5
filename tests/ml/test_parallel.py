"""Work on many pictures on all cores: order, errors, and processes that die."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from ml import parallel
from ml.errors import DatasetError, ImageError
from ml.parallel import on_all_cores

Found = TypeVar("Found")


@pytest.fixture
def few_are_very_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "VERY_MANY", 8)
    monkeypatch.setattr(parallel, "AT_ONCE", 2)
    monkeypatch.setattr("os.cpu_count", lambda: 2)


def doubled(number: int) -> tuple[int, int]:
    return 2 * number, os.getpid()


def refused(number: int) -> int:
    if number == 5:
        raise ImageError("bad_image", "The fifth is damaged.")
    return number


def killed(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_few_items_are_worked_on_in_this_process_and_in_order() -> None:
    found = list(on_all_cores(doubled, range(20)))
    assert found == [(2 * number, os.getpid()) for number in range(20)]


@pytest.mark.usefixtures("few_are_very_many")
def test_very_many_items_are_worked_on_in_other_processes_and_in_order() -> None:
    numbers, processes = zip(*on_all_cores(doubled, range(40)), strict=True)
    assert numbers == tuple(range(0, 80, 2))
    assert os.getpid() not in processes


@pytest.mark.usefixtures("few_are_very_many")
@pytest.mark.parametrize("items", [range(6), range(20)], ids=["threads", "processes"])
def test_what_an_item_raises_is_raised_with_its_code(items: range) -> None:
    results = on_all_cores(refused, items)
    with pytest.raises(ImageError, match="The fifth is damaged") as refusal:
        list(results)
    assert refusal.value.code == "bad_image"


@pytest.mark.usefixtures("few_are_very_many")
def test_a_process_that_is_killed_is_said_to_have_been() -> None:
    with pytest.raises(DatasetError, match="memory ran out") as refusal:
        list(on_all_cores(killed, range(20)))
    assert refusal.value.code == "readers_killed"


READ = """
import os, sys, time
from ml import parallel
parallel.VERY_MANY = 2
os.cpu_count = lambda: 2
if __name__ == "__main__":
    for _ in parallel.on_all_cores(time.sleep, [30.0] * 40):
        pass
"""


def test_the_processes_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "read.py"
    script.write_text(READ)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, str(script)], env=environment)
    try:
        workers = _wait_for(lambda: _workers_of(parent.pid))
    finally:
        parent.kill()
        parent.wait()
    assert _wait_for(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def _workers_of(parent: int) -> list[int]:
    """Return the children of a process that have begun to work, both or none."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, _, after_name = status.read_text().rpartition(")")
            command = status.with_name("cmdline").read_bytes()
        except OSError:
            continue
        if int(after_name.split()[1]) == parent and b"spawn_main" in command:
            found.append(int(status.parent.name))
    return found if len(found) == 2 else []


def _wait_for(condition: Callable[[], Found], seconds: float = 20.0) -> Found:
    """Return what the condition gives once it is true; fail after some time."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        if found := condition():
            return found
        time.sleep(0.05)
    pytest.fail("it did not happen in time")
