"""Stored pictures shown to a version that did not predict them: its answer beside the first one.

The first answer, which people saw, is never touched. Everything here may be repeated: a picture
has one row for each version.
"""

import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from ml.answers import answer_of
from ml.errors import ArtifactError, ImageError
from ml.images import decode_image
from ml.inference import Classifier
from recognition import serving
from recognition.errors import ApplicationError
from recognition.models import ModelVersion, Prediction, Reprediction, RepredictionRun
from recognition.services import ranked

logger = logging.getLogger(__name__)

BATCH_PICTURES: Final = 50  # about a second
SLICE_S: Final = 20.0  # then other jobs get their turn
STALLED_AFTER: Final = timedelta(minutes=5)
LOADED_VERSIONS: Final = 2  # a challenger and a new version, kept from job to job

_loaded: OrderedDict[tuple[int, str], Classifier] = OrderedDict()
_loading = threading.Lock()


def start(version: ModelVersion, person: AbstractBaseUser | None = None) -> RepredictionRun:
    """Let a worker show the recognizer's pictures to the version, newest first.

    Raises:
        ApplicationError: `already_running`.
    """
    from recognition import jobs  # jobs call this module

    now = timezone.now()
    try:
        with transaction.atomic():
            run = RepredictionRun.objects.create(
                version=version, person_id=person.pk if person else None, stands_at=now
            )
            transaction.on_commit(lambda: jobs.predict_anew.enqueue(str(run.pk)))
    except IntegrityError:
        raise ApplicationError(
            "already_running",
            f"The pictures are being shown to {version} already. Wait for its end or cancel it.",
            409,
        ) from None
    return run


def cancel(run: RepredictionRun) -> bool:
    """Stop after the batch in hand; return False where it had ended. Answers so far stay."""
    running = RepredictionRun.objects.filter(pk=run.pk, state=RepredictionRun.State.RUNNING)
    return bool(running.update(state=RepredictionRun.State.CANCELLED, moved_at=timezone.now()))


def resume(run: RepredictionRun) -> bool:
    """Let a worker go on with a pass that stands still; return False where none should."""
    from recognition import jobs  # jobs call this module

    if not is_stalled(run):
        return False
    RepredictionRun.objects.filter(pk=run.pk).update(moved_at=timezone.now())
    jobs.predict_anew.enqueue(str(run.pk))
    return True


def is_stalled(run: RepredictionRun) -> bool:
    """Whether nobody has worked on it for long: the worker was killed, or is not there."""
    is_running = run.state == RepredictionRun.State.RUNNING
    return is_running and timezone.now() - run.moved_at > STALLED_AFTER


def work_on(run_id: uuid.UUID, *, slice_s: float = SLICE_S) -> bool:
    """Show pictures to the version for about `slice_s`; return whether there are more.

    A job: where another one does the same, the slower of the two stops.
    """
    deadline_s = time.monotonic() + slice_s
    while True:
        run = (
            RepredictionRun.objects.select_related("version__recognizer")
            .filter(pk=run_id, state=RepredictionRun.State.RUNNING)
            .first()
        )
        if run is None or not _do_batch(run):
            return False
        if time.monotonic() >= deadline_s:
            return True


def predict_again(
    predictions: Sequence[Prediction], version: ModelVersion, *, is_shadow: bool
) -> list[Reprediction]:
    """Show stored pictures to `version` and keep what it says; return the rows written.

    Left out are its own predictions, pictures that it has seen already and those that are gone
    or cannot be read. What it saw as a challenger becomes an answer for people once asked
    for again.

    Raises:
        ArtifactError: the version does not load.
    """
    ids = [prediction.pk for prediction in predictions]
    seen = version.repredictions.filter(prediction__in=ids)
    if not is_shadow:
        seen.filter(is_shadow=True).update(is_shadow=False, created_at=timezone.now())
    known = set(seen.values_list("prediction", flat=True))
    unseen = [p for p in predictions if p.pk not in known and p.model_version_id != version.pk]
    if not unseen:
        return []
    classifier = loaded(version)
    answers = [_answer(p, version, classifier, is_shadow=is_shadow) for p in unseen]
    rows = [answer for answer in answers if answer is not None]
    with transaction.atomic():
        # Uploads may have been deleted meanwhile, and another job may have written.
        there = set(
            Prediction.objects.select_for_update()
            .filter(pk__in=[row.prediction_id for row in rows])
            .values_list("pk", flat=True)
        )
        rows = [row for row in rows if row.prediction_id in there]
        Reprediction.objects.bulk_create(rows, ignore_conflicts=True)
    return rows


def loaded(version: ModelVersion) -> Classifier:
    """Return the version's classifier, kept in memory from job to job.

    Raises:
        ArtifactError: the artifact is missing, altered or does not work.
    """
    key = (version.pk, version.metadata_sha256)
    with _loading:
        if key not in _loaded:
            _loaded[key] = serving.load_version(version)
        _loaded.move_to_end(key)
        while len(_loaded) > LOADED_VERSIONS:
            _loaded.popitem(last=False)
        return _loaded[key]


def _do_batch(run: RepredictionRun) -> bool:
    """Show the next pictures; return whether the pass goes on."""
    older = Prediction.objects.filter(recognizer=run.version.recognizer_id)
    if run.pictures is None:
        run.pictures = older.filter(created_at__lte=run.stands_at).count()
    rest = older.filter(created_at__lte=run.stands_at)
    if run.stands_after is not None:
        rest = rest.exclude(created_at=run.stands_at, pk__lte=run.stands_after)
    batch = list(
        rest.order_by("-created_at", "id").only(
            "id", "picture", "label", "model_version", "created_at"
        )[:BATCH_PICTURES]
    )
    try:
        predict_again(batch, run.version, is_shadow=False)
    except ArtifactError as error:
        _move(run, state=RepredictionRun.State.FAILED, error=error.message)
        return False
    if len(batch) < BATCH_PICTURES:
        changes: dict[str, object] = {"state": RepredictionRun.State.DONE}
    else:
        changes = {"stands_at": batch[-1].created_at, "stands_after": batch[-1].pk}
    others = [p.pk for p in batch if p.model_version_id != run.version_id]
    agrees = list(
        run.version.repredictions.filter(prediction__in=others).values_list("agrees", flat=True)
    )
    goes_on = _move(
        run,
        **changes,
        pictures=run.pictures,
        seen=F("seen") + len(batch),
        changed=F("changed") + agrees.count(False),
        unreadable=F("unreadable") + len(others) - len(agrees),
    )
    return goes_on and len(batch) == BATCH_PICTURES


def _move(run: RepredictionRun, **changes: object) -> bool:
    """Write the row unless somebody else moved or ended it; return whether it was written."""
    here = RepredictionRun.objects.filter(
        Q(stands_after=run.stands_after) if run.stands_after else Q(stands_after__isnull=True),
        pk=run.pk,
        state=RepredictionRun.State.RUNNING,
    )
    return bool(here.update(moved_at=timezone.now(), **changes))


def _answer(
    prediction: Prediction, version: ModelVersion, classifier: Classifier, *, is_shadow: bool
) -> Reprediction | None:
    """Return the unsaved answer; None where the stored picture cannot be read."""
    try:
        pixels = decode_image(prediction.picture_path).pixels
    except ImageError as error:
        logger.warning("The picture of %s cannot be shown again: %s", prediction.pk, error)
        return None
    result = classifier.classify_picture(pixels)
    probabilities, ranking = ranked(result)
    answer = answer_of(result)
    label = result.labels[ranking[0]]
    return Reprediction(
        prediction=prediction,
        model_version=version,
        probabilities=probabilities,
        label=label,
        probability=probabilities[ranking[0]],
        answer=answer.kind if answer else "",
        is_shadow=is_shadow,
        agrees=label == prediction.label,
    )
