"""What a worker does with a training: bring it to its end, from wherever it stands."""

import logging
import time
import uuid
from typing import Final

from ml.errors import LacewingError, TrainingError
from recognition import locks, training_runs
from recognition.models import TrainingRun
from recognition.tasks import make_version
from recognition.training_child import TrainingRefusedError, TrainingStoppedError
from recognition.training_progress import TrainingCancelledError, WorkerStoppingError
from recognition.training_requests import request_of
from recognition.training_runs import HeldRun, LeaseLostError
from recognition.training_workspaces import Workspace

MOST_CRASHES: Final = 3  # of the child, without an epoch between them
MOST_ATTEMPTS: Final = 12  # without an epoch: machines are switched off more often than that
RETRY_AFTER_S: Final = 2.0
ORPHAN_WAIT_S: Final = 20.0  # in which the child of a killed worker notices and ends

State = TrainingRun.State

logger = logging.getLogger("lacewing.jobs")


def work_on(run_id: uuid.UUID) -> None:
    """Bring a run to its end; the body of a job.

    Does nothing for a run that has ended or is in other hands, and puts it back for the next
    worker when this one is told to stop.
    """
    run = TrainingRun.objects.select_related("recognizer").filter(pk=run_id).first()
    if run is None or not run.is_under_way:
        return
    name = training_runs.lock_name(run.recognizer.slug)
    try:
        with locks.held(name, wait_s=ORPHAN_WAIT_S) as lock:
            while held := HeldRun.claim(run):
                if _attempt(held, lock):
                    return
                time.sleep(RETRY_AFTER_S)
    except locks.LockedError:
        logger.info("Training %s is in other hands.", run)
    except LeaseLostError:
        logger.warning("Training %s was taken over or ended meanwhile.", run)


def _attempt(held: HeldRun, lock: int) -> bool:
    """Work on a run that was claimed; return False to try again."""
    run = held.run
    request = request_of(run)
    workspace = Workspace.named(request.workspace_name)
    try:
        if run.cancel_requested:
            raise TrainingCancelledError
        if run.attempts > MOST_ATTEMPTS:
            raise TrainingError(
                "no_progress", f"It ended {MOST_ATTEMPTS} times without getting any further."
            )
        resume = workspace.notes().get("run") == str(run.pk)
        make_version(run.recognizer, request, held, lock, resume=resume, to_log=True)
    except TrainingCancelledError:
        held.end(State.CANCELLED)
        workspace.remove()
    except WorkerStoppingError:
        held.put_back()
    except TrainingStoppedError as error:
        logger.warning("Training %s: %s", run, error.message)
        if run.attempts < MOST_CRASHES:
            return False
        held.end(State.FAILED, f"{error.message}\n\n{workspace.end_of_log()}")
    except TrainingRefusedError as error:
        if error.reason.code == "data_changed":
            workspace.remove()  # begin again, with the pictures that there are now
            return False
        held.end(State.FAILED, error.reason.message)
    except LacewingError as error:
        held.end(State.FAILED, error.message)
    except LeaseLostError:
        raise
    except Exception as error:
        held.end(State.FAILED, f"{type(error).__name__}: {error}")
        raise
    return True
