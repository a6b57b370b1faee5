"""`python -m ml build SPEC.json`, or `compare`: one job in a process of its own.

It ends when its standard input closes, that is, when its parent dies. Exit status: 0 done, 2 a
person can mend it (said on standard error), 130 stopped. The job's module is imported only
here, so that the processes that read pictures for it (`ml.parallel`) start without TensorFlow.
"""

import importlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import NoReturn

from ml import events
from ml.errors import LacewingError

JOBS = {"build": "ml.build", "compare": "ml.compare"}


def main(job: str, spec_path: Path) -> int:
    """Do the job and return the exit status; its events go to a file beside the specification."""
    _end_with_parent()
    signal.signal(signal.SIGTERM, _stop_once)
    events.write_to(spec_path.with_name(events.EVENTS_NAME))
    try:
        importlib.import_module(JOBS[job]).run(spec_path)
    except LacewingError as error:
        events.refusal(error.code, error.message)
        print(error.message, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _end_with_parent() -> None:
    """Exit at once when standard input closes: a killed parent must leave no orphan."""

    def wait() -> None:
        while os.read(0, 1024):  # not sys.stdin: its lock would be held at exit
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True, name="parent-watch").start()


def _stop_once(signal_number: int, frame: object) -> NoReturn:
    """Unwind once, so that temporary folders go; a second signal must not disturb that."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], Path(sys.argv[2])))
