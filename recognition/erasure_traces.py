"""What a deleted upload leaves on disk: its file, caches of trainings, folders of trainings.

It is written down before the rows go and crossed out once it is gone, so that a process that
dies in between leaves no picture behind.
"""

import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings

from ml.picture_caches import caches_with, drop_cache
from recognition import locks
from recognition.models import REVIEWED_NAME, Prediction, SnapshotItem, TrainingRun
from recognition.training_runs import UNDER_WAY, lock_name

SURELY_COMMITTED_AFTER_S: Final = 300.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """Uploads deleted together, and where their files were."""

    path: Path
    """The note itself."""
    pictures: Mapping[uuid.UUID, str]
    """Prediction id → path under the media directory."""

    def forget(self) -> None:
        """Cross it out: nothing is left."""
        self.path.unlink(missing_ok=True)


def write_down(pictures: Mapping[uuid.UUID, str]) -> Traces:
    """Write down what is to be removed once the rows have gone."""
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4()}.json"
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump({str(key): picture for key, picture in pictures.items()}, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return Traces(path=path, pictures=dict(pictures))


def unfinished() -> Iterator[Traces]:
    """Yield the deletions whose traces are not all gone, without those under way just now."""
    for path in sorted(_folder().glob("*.json")):
        try:
            if time.time() - path.stat().st_mtime < SURELY_COMMITTED_AFTER_S:
                continue
            written = json.loads(path.read_bytes())
            pictures = {uuid.UUID(key): str(picture) for key, picture in written.items()}
        except FileNotFoundError:
            continue  # finished meanwhile
        except (ValueError, AttributeError):
            logger.exception("%s is damaged: check_storage names the pictures it meant.", path)
            path.replace(path.with_suffix(".damaged"))
            continue
        kept = Prediction.objects.filter(pk__in=list(pictures)).values_list("pk", flat=True)
        for prediction_id in list(kept):  # the transaction was never committed
            del pictures[prediction_id]
        yield Traces(path=path, pictures=pictures)


def remove(traces: Traces) -> bool:
    """Remove files and copies; return False while a training under way holds some of them."""
    for picture in traces.pictures.values():
        (Path(settings.MEDIA_ROOT) / picture).unlink(missing_ok=True)
    names = {f"{REVIEWED_NAME}{prediction_id}" for prediction_id in traces.pictures}
    for cache in caches_with(Path(settings.CACHE_DIR), names):
        drop_cache(cache)
    held = SnapshotItem.objects.filter(
        prediction_id__in=list(traces.pictures), run__state__in=UNDER_WAY
    ).exists()
    for workspace in _workspaces_with(names):
        held |= not _remove_workspace(workspace)
    return not held


def _remove_workspace(workspace: Path) -> bool:
    """Remove the folder of a training; return False while that is under way."""
    slug = workspace.name.partition(".")[0]
    if TrainingRun.objects.filter(recognizer__slug=slug, state__in=UNDER_WAY).exists():
        return False
    try:
        with locks.held(lock_name(slug)):  # or one that begins now would lose its folder
            shutil.rmtree(workspace, ignore_errors=True)
    except locks.LockedError:
        return False
    return True


def _workspaces_with(names: set[str]) -> Iterator[Path]:
    """Yield the folders of interrupted trainings that were told to read one of the pictures."""
    for spec_path in Path(settings.TRAINING_DIR).glob("*/spec.json"):
        try:
            spec = json.loads(spec_path.read_bytes())
            if any(item["name"] in names for item in spec["reviewed"]):
                yield spec_path.parent
        except (OSError, ValueError, KeyError, TypeError):
            continue  # being written, or gone


def _folder() -> Path:
    return Path(settings.DATA_DIR) / "erasures"
