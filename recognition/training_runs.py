"""Trainings as rows: asked for, held by one process at a time, ended exactly once.

The row is the truth and the queue only says when to look at it. Whoever works on a run holds
the recognizer's lock, which the system lets go of when it dies, and the run's lease, which
every write names.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext

from recognition import locks
from recognition.errors import ApplicationError
from recognition.models import Recognizer, TrainingRun

LEASE_S: Final = 60.0
UNDER_WAY: Final = (TrainingRun.State.QUEUED, TrainingRun.State.RUNNING)

State = TrainingRun.State


class LeaseLostError(Exception):
    """Another process works on the run now, or it has ended: nothing of ours may be written."""


def request_training(
    recognizer: Recognizer,
    *,
    cause: TrainingRun.Cause = TrainingRun.Cause.PERSON,
    person: AbstractBaseUser | None = None,
    options: Mapping[str, Any] | None = None,
    activation: TrainingRun.Activation = TrainingRun.Activation.AUTO,
    force_reason: str = "",
    notes: Sequence[str] = (),
) -> TrainingRun:
    """Ask for a training; a worker begins it as soon as it can. Return its row.

    `options` are those of `recognition.tasks.RetrainRequest`; what is left out is as last time.

    Raises:
        ApplicationError: `training_under_way`, one at a time for each recognizer.
    """
    from recognition import jobs  # which call what is written here

    try:
        with transaction.atomic():
            run = TrainingRun.objects.create(
                recognizer=recognizer,
                cause=cause,
                person_id=person.pk if person else None,
                request={"options": dict(options or {}), "notes": list(notes)},
                activation=activation,
                force_reason=force_reason,
            )
            jobs.enqueue_training(run.pk)
    except IntegrityError:
        raise refusal(recognizer) from None
    return run


def under_way(recognizer: Recognizer) -> TrainingRun | None:
    """Return the recognizer's run that waits or runs, or None."""
    return TrainingRun.objects.filter(recognizer=recognizer, state__in=UNDER_WAY).first()


def refusal(recognizer: Recognizer) -> ApplicationError:
    """Return the error for whoever wants a second training at once; names the first."""
    run = under_way(recognizer) if recognizer.pk else None
    if run is None:  # a recognizer has no row before its first version is whole
        message = gettext("A training of “%(slug)s” is under way. Wait for its end.")
        return ApplicationError(
            "training_under_way", message % {"slug": recognizer.slug}, HTTPStatus.CONFLICT
        )
    message = gettext(
        "A training of “%(slug)s”, asked for at %(time)s UTC by %(cause)s, is under way "
        "(%(state)s). Wait for its end, or cancel it."
    )
    values = {
        "slug": recognizer.slug,
        "time": f"{run.created_at:%Y-%m-%d %H:%M}",
        "cause": run.get_cause_display(),
        "state": run.get_state_display(),
    }
    return ApplicationError("training_under_way", message % values, HTTPStatus.CONFLICT)


def lock_name(slug: str) -> str:
    """Return the name of the lock that whoever trains the recognizer holds."""
    return f"training-{slug}"


def request_cancel(run: TrainingRun) -> None:
    """Ask for the end of a run: at once where nobody works on it, else within seconds."""
    waiting = TrainingRun.objects.filter(pk=run.pk, state=State.QUEUED)
    if waiting.update(state=State.CANCELLED, ended_at=timezone.now(), cancel_requested=True):
        return
    running = TrainingRun.objects.filter(pk=run.pk, state=State.RUNNING)
    running.update(cancel_requested=True)
    if not locks.is_held(lock_name(run.recognizer.slug)):
        # Whoever held it is dead, and nobody has taken it up again.
        running.filter(lease=run.lease).update(
            state=State.CANCELLED, ended_at=timezone.now(), lease=None, lease_expires_at=None
        )


def close_dead(run: TrainingRun, why: str) -> None:
    """Cancel a run whose holder is dead; the caller holds the recognizer's lock."""
    TrainingRun.objects.filter(pk=run.pk, state__in=UNDER_WAY).update(
        state=State.CANCELLED,
        ended_at=timezone.now(),
        error=why,
        lease=None,
        lease_expires_at=None,
    )


def stranded_runs() -> list[TrainingRun]:
    """Return the runs under way on which nobody works: waiting ones, and those of the dead."""
    rows = TrainingRun.objects.filter(state__in=UNDER_WAY).select_related("recognizer")
    return [run for run in rows if not locks.is_held(lock_name(run.recognizer.slug))]


class HeldRun:
    """A run in the hands of this process; every write is refused once the lease is another's.

    Hold the recognizer's lock around it.
    """

    def __init__(self, run: TrainingRun, lease: uuid.UUID) -> None:
        self.run = run
        self._row = TrainingRun.objects.filter(pk=run.pk, lease=lease, state=State.RUNNING)

    @classmethod
    def claim(cls, run: TrainingRun, *states: State) -> "HeldRun | None":
        """Take a run that is in one of `states` (by default: under way); None if it is not.

        Who claims holds the recognizer's lock, so that a former holder is dead.
        """
        lease = uuid.uuid4()
        taken = TrainingRun.objects.filter(pk=run.pk, state__in=states or UNDER_WAY).update(
            state=State.RUNNING,
            lease=lease,
            lease_expires_at=_lease_end(),
            attempts=F("attempts") + 1,
            started_at=Coalesce("started_at", timezone.now()),
            ended_at=None,
            error="",
        )
        if not taken:
            return None
        run.refresh_from_db()
        return cls(run, lease)

    def write(self, **fields: Any) -> None:
        """Write fields of the row and prolong the lease.

        Raises:
            LeaseLostError: the run is no longer ours.
        """
        if not self._row.update(lease_expires_at=_lease_end(), **fields):
            raise LeaseLostError(str(self.run.pk))
        for name, value in fields.items():
            setattr(self.run, name, value)

    def is_cancel_requested(self) -> bool:
        """Return whether somebody asked for the end of the run. Causes a SQL query."""
        return self._row.filter(cancel_requested=True).exists()

    def end(self, state: State, error: str = "") -> None:
        """Write the last word on the run.

        Raises:
            LeaseLostError: the run is no longer ours.
        """
        self._close(state=state, ended_at=timezone.now(), error=error)

    def put_back(self) -> None:
        """Let the next worker go on with the run.

        Raises:
            LeaseLostError: the run is no longer ours.
        """
        self._close(state=State.QUEUED, attempts=0)

    def _close(self, **fields: Any) -> None:
        if not self._row.update(lease=None, lease_expires_at=None, **fields):
            raise LeaseLostError(str(self.run.pk))
        self.run.refresh_from_db()


def _lease_end() -> Any:
    return timezone.now() + timedelta(seconds=LEASE_S)
