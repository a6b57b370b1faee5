"""`python -m benchmarks.killed_workers`: kill workers again and again while they work.

Every job must end, with its effect once and within 90 s of the last kill; every training must
go on by itself and end with the figures of one that nobody disturbed, with one version, and
never a folder that is half written.
"""

import argparse
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from benchmarks.server import RunningServer

JOBS: Final = 200
JOB_KILLS: Final = 20
KILL_EVERY_S: Final = 2.0
JOBS_END_WITHIN_S: Final = 90.0
TRAINING_KILLS: Final = 20
TRAINING_ENDS_WITHIN_S: Final = 300.0
CHILD_SHARE: Final = 0.3  # of the kills hit the process that trains, the others its worker
OPTIONS: Final = {"architecture": "cnn", "epochs": 12, "image_size_px": 24}
COLORS: Final = {"blue": (40, 60, 210), "green": (40, 200, 70), "red": (220, 50, 40)}

COUNT_JOBS: Final = """
import json
from collections import Counter
from benchmarks.job_kinds import marks
from django_tasks_db.models import DBTaskResult
print(json.dumps([Counter(DBTaskResult.objects.values_list("status", flat=True)), marks()]))
"""
LIST_RUNS: Final = """
import json
from recognition.models import TrainingRun
print(json.dumps({
    run.recognizer.slug: {
        "state": run.state,
        "error": run.error,
        "losses": [row["val_loss"] for row in run.history],
        "accuracy": run.version.metrics["accuracy"] if run.version else None,
        "versions": run.recognizer.versions.count(),
    }
    for run in TrainingRun.objects.select_related("recognizer", "version")
}))
"""


@dataclass(frozen=True, kw_only=True)
class JobsResult:
    """What became of the jobs."""

    kills: int
    ended_s: float
    """After the last kill."""
    states: dict[str, int]
    rows: list[int]
    files: list[int]


@dataclass(frozen=True, kw_only=True)
class TrainingsResult:
    """What became of the trainings."""

    kills: int
    unbroken_s: float
    unbroken: dict[str, Any]
    broken: list[dict[str, Any]]
    half_written: int
    """How often a folder of a version was seen that was not whole."""
    ended_s: float
    """The last one, after the last kill."""


def measure_jobs(server: RunningServer, *, jobs: int, kills: int) -> JobsResult:
    """Kill the worker every two seconds while it does so many jobs."""
    _shell(
        server,
        "from benchmarks.job_kinds import leave_a_mark\n"
        f"for number in range({jobs}): leave_a_mark.enqueue(number)",
    )
    killed = 0
    while killed < kills:
        time.sleep(KILL_EVERY_S)
        killed += _kill_worker(server)
    last_kill_s = time.monotonic()
    _wait_until(
        lambda: (
            sum(_ask(server, COUNT_JOBS)[0].get(state, 0) for state in ("READY", "RUNNING")) == 0
        ),
        JOBS_END_WITHIN_S,
    )
    ended_s = time.monotonic() - last_kill_s
    states, rows = _ask(server, COUNT_JOBS)
    files = sorted(int(path.name) for path in (server.data_dir / "marks").iterdir())
    return JobsResult(kills=killed, ended_s=ended_s, states=states, rows=rows, files=files)


def measure_trainings(
    server: RunningServer, folder: Path, *, kills: int, seed: int = 0
) -> TrainingsResult:
    """Kill the worker, or the process that trains, at random moments of trainings."""
    chance = random.Random(seed)
    _request_training(server, "unbroken", folder)
    began_s = time.monotonic()
    _wait_until(lambda: _has_ended(server, "unbroken"), TRAINING_ENDS_WITHIN_S)
    unbroken_s = time.monotonic() - began_s
    killed = half_written = trainings = 0
    while killed < kills:
        if not trainings or _has_ended(server, f"broken-{trainings}"):
            trainings += 1
            _request_training(server, f"broken-{trainings}", folder)
        moment_s = time.monotonic() + chance.uniform(0.5, 0.7 * unbroken_s)
        while time.monotonic() < moment_s:
            half_written += _half_written(server)
            time.sleep(0.02)
        child = _training_process(server)
        if child is not None and chance.random() < CHILD_SHARE:
            os.kill(child, signal.SIGKILL)
            killed += 1
        else:
            killed += _kill_worker(server)
        half_written += _half_written(server)
    last_kill_s = time.monotonic()
    _wait_until(lambda: _has_ended(server, f"broken-{trainings}"), TRAINING_ENDS_WITHIN_S)
    runs = _ask(server, LIST_RUNS)
    return TrainingsResult(
        kills=killed,
        unbroken_s=unbroken_s,
        unbroken=runs.pop("unbroken"),
        broken=list(runs.values()),
        half_written=half_written,
        ended_s=time.monotonic() - last_kill_s,
    )


def write_colors(root: Path, *, per_class: int = 60, side_px: int = 40) -> Path:
    """Write a folder of noisy pictures of one colour each."""
    noise = np.random.default_rng(0)
    for label, color in COLORS.items():
        (root / label).mkdir(parents=True)
        for number in range(per_class):
            pixels = np.array(color) + noise.normal(0, 40, (side_px, side_px, 3))
            picture = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            picture.save(root / label / f"{number:03}.png")
    return root


def _request_training(server: RunningServer, slug: str, folder: Path) -> None:
    _shell(
        server,
        "from recognition.models import Recognizer; from recognition import training_runs\n"
        f"row = Recognizer.objects.create(slug={slug!r}, name='C', data_sources=[{str(folder)!r}])"
        f"\ntraining_runs.request_training(row, options={OPTIONS!r})",
    )


def _has_ended(server: RunningServer, slug: str) -> bool:
    # Read directly: a process that loads the site would take the time that is measured.
    with closing(sqlite3.connect(server.data_dir / "db.sqlite3", timeout=20)) as database:
        (state,) = database.execute(
            "SELECT state FROM recognition_trainingrun JOIN recognition_recognizer "
            "ON recognizer_id = recognition_recognizer.id WHERE slug = ?",
            [slug],
        ).fetchone()
    return state not in {"queued", "running"}


def _half_written(server: RunningServer) -> int:
    folders = (server.data_dir / "versions").glob("*/v*")
    return sum(not (folder / "metadata.json").is_file() for folder in folders)


def worker_process(server: RunningServer) -> int | None:
    """Return the id of the worker beside the server, if it lives."""
    family = server.process_ids()
    for path in (server.data_dir / "locks").glob("worker-*.lock"):
        text = path.read_text().strip()
        if text.isdecimal() and int(text) in family:
            return int(text)
    return None


def _kill_worker(server: RunningServer) -> bool:
    """Kill the worker as the system does when memory runs out; return whether one lived."""
    worker = worker_process(server)
    if worker is not None:
        os.kill(worker, signal.SIGKILL)
    return worker is not None


def _training_process(server: RunningServer) -> int | None:
    for process_id in server.process_ids():
        try:
            command = Path(f"/proc/{process_id}/cmdline").read_bytes()
        except OSError:
            continue
        if b"\0ml\0build\0" in command:
            return process_id
    return None


def _shell(server: RunningServer, code: str) -> str:
    return server.manage("shell", "-v0", "-c", code)


def _ask(server: RunningServer, code: str) -> Any:
    return json.loads(_shell(server, code))


def _wait_until(holds: Callable[[], bool], timeout_s: float) -> None:
    """Wait until `holds`, or until time is over: the figures then tell."""
    deadline_s = time.monotonic() + timeout_s
    while not holds() and time.monotonic() < deadline_s:
        time.sleep(0.5)


def main() -> None:
    """Measure and print; exit 1 where something was lost or done twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--what", choices=("jobs", "trainings"), nargs="+", default=["jobs"])
    parser.add_argument("--kills", type=int, default=0, help="default 20")
    arguments = parser.parse_args()
    is_whole = True
    if "jobs" in arguments.what:
        with RunningServer() as server:
            jobs = measure_jobs(server, jobs=JOBS, kills=arguments.kills or JOB_KILLS)
        print(
            f"{JOBS} jobs, {jobs.kills} kills: {jobs.states}, {len(jobs.rows)} rows, "
            f"{len(jobs.files)} files, all ended {jobs.ended_s:.0f} s after the last kill"
        )
        is_whole &= jobs.rows == jobs.files == list(range(JOBS))
    if "trainings" in arguments.what:
        with tempfile.TemporaryDirectory() as directory, RunningServer() as server:
            folder = write_colors(Path(directory) / "colors")
            found = measure_trainings(server, folder, kills=arguments.kills or TRAINING_KILLS)
        equal = sum(run == found.unbroken for run in found.broken)
        print(
            f"{len(found.broken)} trainings, {found.kills} kills, undisturbed "
            f"{found.unbroken_s:.0f} s: {equal} ended as the undisturbed one, "
            f"{found.half_written} half-written folders seen, "
            f"ended {found.ended_s:.0f} s after the last kill"
        )
        if equal != len(found.broken):
            print(json.dumps([found.unbroken, *found.broken], indent=1))
        is_whole &= equal == len(found.broken) and not found.half_written
    sys.exit(not is_whole)


if __name__ == "__main__":
    main()
