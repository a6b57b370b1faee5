"""The jobs that a worker does: one line each, for what they do is written where it belongs.

Only this module and the worker know the queue. Whatever a job calls may be called again after
a crash: it looks at rows first and does what is still missing.
"""

import uuid
from typing import Final

from django_tasks import TaskResultStatus, task
from django_tasks_db.models import DBTaskResult

from recognition import challengers, repredicting, training_jobs, training_runs

WAITING: Final = (TaskResultStatus.READY, TaskResultStatus.RUNNING)


@task(queue_name="training")
def train(run_id: str) -> None:
    """Bring a training to its end."""
    training_jobs.work_on(uuid.UUID(run_id))


RESUMED: Final = (train.module_path,)
"""What goes on where it was, however often its worker dies; it knows itself when to give up."""


def enqueue_training(run_id: uuid.UUID) -> None:
    """Let a worker look at the run."""
    train.enqueue(str(run_id))


def enqueue_stranded_trainings() -> None:
    """Let a worker look at every run that is under way in nobody's hands, unless one will."""
    stranded = training_runs.stranded_runs()
    if not stranded:
        return
    rows = DBTaskResult.objects.filter(task_path=train.module_path, status__in=WAITING)
    waiting = {argument for row in rows for argument in row.args_kwargs["args"]}
    for run in stranded:
        if str(run.pk) not in waiting:
            enqueue_training(run.pk)


@task()
def predict_in_shadow(prediction_id: str) -> None:
    """Show an upload to the challenger."""
    challengers.predict_in_shadow(uuid.UUID(prediction_id))


@task(priority=-10)  # what people upload comes first
def predict_anew(run_id: str) -> None:
    """Show old pictures to a version for a while, then wait in the queue for the next while."""
    if repredicting.work_on(uuid.UUID(run_id)):
        predict_anew.enqueue(run_id)
