"""Trainings that begin by themselves: at night, or as soon as there is enough to learn."""

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Exists, OuterRef
from django.utils import timezone

from recognition.errors import ApplicationError
from recognition.models import (
    Prediction,
    PredictionQuerySet,
    Recognizer,
    Review,
    SnapshotItem,
    TrainingRun,
)
from recognition.training_runs import request_training, under_way

NIGHT_HOURS: Final = 6  # in which a training that was missed still begins
CLOCKS_DIFFER: Final = timedelta(minutes=1)  # of the database and of who trains
RETRY_AFTER: Final = timedelta(days=1)  # a scheduled training that did not succeed


def begin_due_trainings() -> None:
    """Ask for the training of each recognizer whose schedule says so."""
    now = timezone.now()
    for recognizer in Recognizer.objects.exclude(schedule=Recognizer.Schedule.NEVER):
        if is_due(recognizer, now):
            try:
                request_training(recognizer, cause=TrainingRun.Cause.SCHEDULE)
            except ApplicationError:
                pass  # somebody else asked in this very moment


def is_due(recognizer: Recognizer, now: datetime) -> bool:
    """Return whether the recognizer's schedule wants a training now."""
    if recognizer.schedule == Recognizer.Schedule.NEVER:
        return False
    scheduled = TrainingRun.objects.filter(recognizer=recognizer, cause=TrainingRun.Cause.SCHEDULE)
    if recognizer.schedule == Recognizer.Schedule.NIGHTLY:
        began = now.replace(hour=recognizer.schedule_hour, minute=0, second=0, microsecond=0)
        if began > now:
            began -= timedelta(days=1)
        if now - began > timedelta(hours=NIGHT_HOURS):
            return False
        if scheduled.filter(created_at__gte=began).exists():
            return False
    else:
        lately = scheduled.filter(created_at__gte=now - RETRY_AFTER)
        if lately.exclude(state=TrainingRun.State.DONE).exists():
            return False
    if under_way(recognizer) is not None:
        return False
    wanted = recognizer.schedule_reviews
    return len(new_reviewed(recognizer).values_list("pk")[:wanted]) >= wanted


def new_reviewed(recognizer: Recognizer) -> PredictionQuerySet:
    """Return the reviewed pictures that the last finished training did not have, so labelled."""
    rows: PredictionQuerySet = Prediction.objects.filter(recognizer=recognizer).reviewed()
    last = TrainingRun.objects.filter(recognizer=recognizer, state=TrainingRun.State.DONE).first()
    if last is not None:
        known = SnapshotItem.objects.filter(
            run=last, prediction_id=OuterRef("pk"), label=OuterRef("reviewed_label")
        )
        lately = Review.objects.filter(pk__gt=_last_review_before(last.started_at))
        rows = rows.filter(~Exists(known), pk__in=lately.values("prediction"))
    return rows.order_by()


def _last_review_before(moment: datetime | None) -> int:
    """Return the id of the last review before a training began, or 0.

    Ids grow with time, so that only the few reviews after it are looked at, not all pictures.
    """
    if moment is None:
        return 0
    before = Review.objects.filter(created_at__lt=moment - CLOCKS_DIFFER)
    return before.order_by("-pk").values_list("pk", flat=True).first() or 0
