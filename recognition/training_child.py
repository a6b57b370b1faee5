"""The child process that trains: begun, watched, and ended when it must."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Final

from django.conf import settings

from ml.errors import TrainingError
from recognition.training_progress import (
    LOOK_INTERVAL_S,
    Progress,
    TrainingCancelledError,
    Watch,
    WorkerStoppingError,
)
from recognition.training_runs import LeaseLostError

EXIT_PERSON_CAN_MEND: Final = 2
STOP_WAIT_S: Final = 20.0
CANCEL_WAIT_S: Final = 2.5  # whoever cancels sees it within 5 seconds
BACKGROUND_NICENESS: Final = 10
CHILD_ENVIRONMENT: Final = {
    "TF_CPP_MIN_LOG_LEVEL": "3",  # TensorFlow's notes on the processor are not for growers
    "CUDA_VISIBLE_DEVICES": "-1",
    "PYTHONUNBUFFERED": "1",
}


class TrainingStoppedError(TrainingError):
    """The training was stopped before its end; nothing was registered."""


class TrainingRefusedError(TrainingError):
    """The child refused to train; `reason` is what it told its watcher and the terminal."""

    def __init__(self, reason: TrainingError) -> None:
        super().__init__("training_refused", "Nothing was trained or activated.")
        self.reason = reason


def run_child(
    job: str,
    spec_path: Path,
    watch: Watch | None = None,
    *,
    lock: int | None = None,
    log: IO[bytes] | None = None,
) -> None:
    """Run a job of `python -m ml` in a child that ends when this process does.

    The child is its own session: Ctrl-C reaches this process alone, which passes it on once.
    It shares the `lock`, so that nobody else begins before it has ended too. What it prints
    goes to `log`, or where this process prints.

    Raises:
        TrainingRefusedError: a person can mend it; the child said why.
        TrainingStoppedError: it ended before it was done.
        TrainingCancelledError, WorkerStoppingError, LeaseLostError: as `Watch.look` says.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "ml", job, str(spec_path)],
        cwd=settings.BASE_DIR,
        env=os.environ | CHILD_ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        start_new_session=True,
        pass_fds=() if lock is None else (lock,),
    )
    if log is not None:
        # Nobody waits at a terminal: people who upload pictures meanwhile come first.
        os.setpriority(os.PRIO_PROCESS, child.pid, BACKGROUND_NICENESS)
    try:
        status = _wait(child, watch)
    except (TrainingCancelledError, WorkerStoppingError, LeaseLostError):
        _end(child, CANCEL_WAIT_S)
        raise
    except BaseException:
        _end(child, STOP_WAIT_S)
        raise
    finally:
        if child.stdin is not None:
            child.stdin.close()
    if watch is not None:
        watch.write()
    if status == 0:
        return
    if status == EXIT_PERSON_CAN_MEND:
        progress = watch.progress if watch else Progress()
        raise TrainingRefusedError(TrainingError(progress.refusal_code, progress.refusal))
    raise TrainingStoppedError(
        "training_stopped",
        f"The training ended before it was done (exit status {status}). Nothing was activated; "
        "run again with --resume to go on.",
    )


def _wait(child: "subprocess.Popen[bytes]", watch: Watch | None) -> int:
    while True:
        try:
            return child.wait(None if watch is None else LOOK_INTERVAL_S)
        except subprocess.TimeoutExpired:
            if watch is not None:
                watch.look()


def _end(child: "subprocess.Popen[bytes]", wait_s: float) -> None:
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(wait_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
