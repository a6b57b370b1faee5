"""The worker: does the jobs in the database's queues, and what is due from time to time.

One process, a thread for each queue, so that a training does not hold short jobs up. It may be
killed at any moment: a lock on a file says exactly which worker lives, and what a dead one was
doing is done again.
"""

import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from types import FrameType
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError, OperationalError, close_old_connections, connection
from django.utils import timezone
from django_tasks import TaskResultStatus
from django_tasks_db.management.commands.db_worker import Worker
from django_tasks_db.models import DBTaskResult
from django_tasks_db.utils import exclusive_transaction, is_locked_database_exception

from recognition import jobs, locks
from recognition.periodic import PERIODIC
from recognition.training_progress import stopping as trainings_stopping

BACKEND: Final = "default"
POLL_S: Final = 0.5
TICK_S: Final = 1.0
PERIOD_S: Final = 60.0
STOP_S: Final = 20.0  # to finish short jobs, and to stop a training
MOST_ATTEMPTS: Final = 3  # of a job in whose midst workers die
LOWER_PRIORITY: Final = -10  # of such a job, so that the others come first
KEPT: Final = {
    TaskResultStatus.SUCCESSFUL: timedelta(days=1),  # there may be one for every upload
    TaskResultStatus.FAILED: timedelta(days=7),
}
PRUNED_AT_ONCE: Final = 900  # below the variables that one SQLite statement may have
PERIODIC_LOCK: Final = "periodic"

logger = logging.getLogger("lacewing.jobs")


class WorkerDiedError(Exception):
    """Each worker that did the job died meanwhile."""


class QueueWorker(Worker):
    """Does the jobs of one queue, one after the other, until told to stop."""

    def __init__(self, queue_name: str, worker_id: str, stopping: threading.Event) -> None:
        super().__init__(
            queue_names=[queue_name],
            interval=POLL_S,
            batch=False,
            backend_name=BACKEND,
            startup_delay=False,
            max_tasks=None,
            worker_id=worker_id,
            excluded_queue_names=[],
        )
        self.stopping = stopping

    def run(self) -> None:
        """Work in the thread that calls this."""
        try:
            while not self.stopping.is_set():
                close_old_connections()
                try:
                    result = self._next()
                    if result is not None:
                        self.run_task(result)
                except DatabaseError:  # it may be back in a moment
                    logger.exception("The queue %s cannot be read.", self.queue_names[0])
                    result = None
                if result is None:
                    self.stopping.wait(self.interval)
        finally:
            connection.close()

    def _next(self) -> "DBTaskResult[Any, Any] | None":
        """Claim the next job; None where nothing waits, or the database is busy."""
        waiting = DBTaskResult.objects.ready().filter(
            backend_name=self.backend_name, queue_name__in=self.queue_names
        )
        if not waiting.exists():  # without the lock that claiming takes
            return None
        try:
            with exclusive_transaction(waiting.db):
                result = waiting.get_locked()
                if result is not None:
                    result.claim(self.worker_id)
        except OperationalError as error:
            if is_locked_database_exception(error):
                return None
            raise
        return result


class JobWorker:
    """One worker process.

    Args:
        parent: id of the process that it must not outlive, if there is one.
    """

    def __init__(self, *, parent: int | None = None) -> None:
        self.worker_id = uuid.uuid4().hex
        self._parent = parent
        self._stopping = threading.Event()

    def run(self) -> None:
        """Work until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        with locks.held(lock_name(self.worker_id)):
            recover_jobs()  # before anything else, so that nothing waits for a minute
            queues = settings.TASKS[BACKEND]["QUEUES"]
            threads = [
                threading.Thread(
                    target=QueueWorker(name, self.worker_id, self._stopping).run,
                    name=f"queue-{name}",
                    daemon=True,  # what does not end in time is done again by the next worker
                )
                for name in queues
            ]
            for thread in threads:
                thread.start()
            logger.info("Worker %s does the jobs of %s.", self.worker_id, ", ".join(queues))
            self._tick_until_stopped()
            deadline_s = time.monotonic() + STOP_S
            for thread in threads:
                thread.join(max(0.0, deadline_s - time.monotonic()))
            unfinished = [thread.name for thread in threads if thread.is_alive()]
            if unfinished:
                logger.warning("Stopping although %s has not finished.", ", ".join(unfinished))
                return  # the next worker finds the lock free, and the job unfinished
        locks.forget(lock_name(self.worker_id))
        logger.info("Worker %s ended.", self.worker_id)

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._stopping.set()
        trainings_stopping.set()

    def _tick_until_stopped(self) -> None:
        due_s = 0.0
        while not self._stopping.wait(TICK_S if due_s else 0):
            if self._parent is not None and os.getppid() != self._parent:
                logger.warning("The server is gone: the worker stops too.")
                self._stop(signal.SIGTERM, None)
            elif time.monotonic() >= due_s:
                do_duties()
                due_s = time.monotonic() + PERIOD_S
        connection.close()


def lock_name(worker_id: str) -> str:
    """Return the name of the lock that a worker holds while it lives."""
    return f"worker-{worker_id}"


def do_duties() -> None:
    """Do what is due each minute, in one worker at a time; one that fails holds none up."""
    try:
        with locks.held(PERIODIC_LOCK):
            for duty in (recover_jobs, jobs.enqueue_stranded_trainings, prune_results, *PERIODIC):
                _do(duty)
    except locks.LockedError:
        pass  # another worker is at it


def recover_jobs() -> None:
    """Let what dead workers were doing be done again; give up what kills its workers."""
    for result in DBTaskResult.objects.filter(status=TaskResultStatus.RUNNING):
        worker_id = result.worker_ids[-1] if result.worker_ids else ""
        if locks.is_held(lock_name(worker_id)):
            continue
        locks.forget(lock_name(worker_id))
        # `started_at` tells this attempt from one that another worker has begun meanwhile.
        same = DBTaskResult.objects.filter(
            pk=result.pk, status=TaskResultStatus.RUNNING, started_at=result.started_at
        )
        if len(result.worker_ids) >= MOST_ATTEMPTS and result.task_path not in jobs.RESUMED:
            if same.update(status=TaskResultStatus.FAILED):
                result.set_failed(WorkerDiedError(f"{MOST_ATTEMPTS} workers died doing it."))
                logger.error("Job %s is given up: %s", result.pk, result.task_path)
        elif same.update(status=TaskResultStatus.READY, priority=_priority_again(result)):
            logger.warning("Job %s of a dead worker is done again.", result.pk)


def prune_results() -> None:
    """Delete the results of jobs that ended some time ago, a part at a time."""
    for status, kept in KEPT.items():
        old = DBTaskResult.objects.filter(status=status, finished_at__lt=timezone.now() - kept)
        ids = list(old.order_by().values_list("pk", flat=True)[:PRUNED_AT_ONCE])
        if ids:
            DBTaskResult.objects.filter(pk__in=ids).delete()


def _priority_again(result: "DBTaskResult[Any, Any]") -> int:
    return result.priority if result.task_path in jobs.RESUMED else LOWER_PRIORITY


def _do(duty: Callable[[], object]) -> None:
    try:
        duty()
    except Exception:
        logger.exception("%s failed; it is tried again in a minute.", duty.__name__)
