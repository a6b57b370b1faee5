"""The jobs that a worker does: one line each, for what they do is written where it belongs.

Only this module knows the queue. Whatever a job calls may be called again after a crash: it
looks at rows first and does what is still missing.
"""

import uuid

from django_tasks import task

from recognition import challengers, repredicting


@task()
def predict_in_shadow(prediction_id: str) -> None:
    """Show an upload to the challenger."""
    challengers.predict_in_shadow(uuid.UUID(prediction_id))


@task(priority=-10)  # what people upload comes first
def predict_anew(run_id: str) -> None:
    """Show old pictures to a version for a while, then wait in the queue for the next while."""
    if repredicting.work_on(uuid.UUID(run_id)):
        predict_anew.enqueue(run_id)
