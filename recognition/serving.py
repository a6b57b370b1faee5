"""What one process serves: the active model versions, loaded.

Nothing is loaded at import, so that management commands and `migrate` pay for nothing: the
first upload (or the server's start, through `start`) loads, and a thread then follows the
active versions of the database. After a fork everything begins anew in the child.
"""

import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import DatabaseError, connections

from ml.artifact import METADATA_NAME
from ml.errors import ArtifactError
from ml.inference import Classifier
from recognition.decoding import decode, decoder
from recognition.errors import NoActiveVersionError
from recognition.models import ModelVersion

__all__ = ["Registry", "ServedVersion", "decode", "decoder", "load_version", "registry"]

logger = logging.getLogger(__name__)

BROKEN_RETRY_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedVersion:
    """A model version in memory. Who holds one keeps using it while a newer one takes over."""

    version_id: int
    number: int
    recognizer_id: int
    slug: str
    classifier: Classifier


@dataclass(frozen=True, slots=True)
class _Broken:
    """An active version that did not load: what its folder looked like and when to try again."""

    folder: tuple[tuple[str, int, int], ...]
    retry_at_s: float


def metadata_sha256(directory: Path) -> str:
    """Return the SHA-256 of the folder's metadata, which vouches for every other file.

    Raises:
        ArtifactError: `missing_file` where there is no metadata to read.
    """
    try:
        return hashlib.sha256((directory / METADATA_NAME).read_bytes()).hexdigest()
    except OSError as error:
        raise ArtifactError(
            "missing_file",
            f"{directory}/{METADATA_NAME} cannot be read ({error.strerror}). Restore the "
            "folder from a backup, or activate another version.",
        ) from error


def load_version(version: ModelVersion) -> Classifier:
    """Load and warm a version's classifier; the folder must be the one that was registered.

    Raises:
        ArtifactError: the folder is missing, altered or does not work.
    """
    directory = version.path
    if metadata_sha256(directory) != version.metadata_sha256:
        raise ArtifactError(
            "altered_file",
            f"{directory}/{METADATA_NAME} is not the one that was registered as {version}. "
            "Restore it from a backup, or activate another version.",
        )
    classifier = Classifier.load(directory)
    if list(classifier.labels) != version.labels:
        raise ArtifactError(
            "labels_mismatch", f"{directory} has other labels than {version} was registered with."
        )
    return classifier


class Registry:
    """The loaded classifier of each recognizer, following the database.

    Thread-safe. With `background` a daemon thread looks for newly activated versions every
    `settings.SERVING_POLL_S`; without it, each `classifier` call looks, which suits tests and
    commands. A version that does not load never replaces one that serves.
    """

    def __init__(self, *, background: bool = True) -> None:
        self._background = background
        self.reset()

    def reset(self) -> None:
        """Forget everything without touching other threads: the state of a forked child."""
        self._lock = threading.RLock()  # refreshes, one at a time
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._served: dict[str, ServedVersion] = {}
        self._active_numbers: dict[str, int] = {}
        self._broken: dict[int, _Broken] = {}
        self._database_answers = False

    def start(self) -> None:
        """Load the active versions, then follow them; does nothing while that goes on."""
        if self._is_following():
            return
        with self._lock:
            if self._is_following():
                return
            self._refresh_or_log()
            if self._background:
                self._wake, self._stop = threading.Event(), threading.Event()
                self._thread = threading.Thread(
                    target=self._follow, args=(self._wake, self._stop), name="serving", daemon=True
                )
                self._thread.start()

    def _is_following(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """End the thread; what is loaded stays until the process ends."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=10)

    def wake(self) -> None:
        """Look for newly activated versions now rather than at the next poll."""
        self._wake.set()

    def classifier(self, slug: str) -> ServedVersion:
        """Return what serves for the recognizer `slug`.

        Raises:
            NoActiveVersionError: no version of it is active, or none of them loads.
        """
        self.start()
        if slug not in self._served and self._is_following():
            self._refresh_or_log()  # its first version may be newer than the last look
        try:
            return self._served[slug]
        except KeyError:
            raise NoActiveVersionError(slug) from None

    def state(self) -> dict[str, object]:
        """Return what serves, for `/readyz`.

        `status` is "ready" where every active version serves, "degraded" where an older one
        stands in or one is missing, "unavailable" where nothing can be served.
        """
        self.start()
        served, active, broken = self._served, self._active_numbers, self._broken
        recognizers: dict[str, dict[str, object]] = {}
        healthy = True
        for slug, number in sorted(active.items()):
            serving = served.get(slug)
            recognizers[slug] = {
                "active_version": number,
                "serving_version": serving.number if serving else None,
            }
            healthy = healthy and serving is not None and serving.number == number
        healthy = healthy and not broken
        if not self._database_answers or (active and not served):
            status = "unavailable"
        else:
            status = "ready" if healthy else "degraded"
        return {
            "status": status,
            "degraded": not healthy,
            "database": self._database_answers,
            "recognizers": recognizers,
        }

    def refresh(self) -> None:
        """Make what serves follow the active rows, in this thread.

        Raises:
            DatabaseError: the rows cannot be read; what serves goes on serving.
        """
        with self._lock:
            active = list(
                ModelVersion.objects.filter(is_active=True).select_related("recognizer").order_by()
            )
            for version in active:
                self._follow_version(version)
            slugs = {version.recognizer.slug for version in active}
            self._served = {slug: s for slug, s in self._served.items() if slug in slugs}
            self._active_numbers = {v.recognizer.slug: v.number for v in active}
            ids = {version.pk for version in active}
            self._broken = {pk: broken for pk, broken in self._broken.items() if pk in ids}
            self._database_answers = True

    def _follow_version(self, version: ModelVersion) -> None:
        """Serve `version`, or where it does not load keep or find one that does."""
        slug = version.recognizer.slug
        serving = self._served.get(slug)
        if serving is not None and serving.version_id == version.pk:
            self._broken.pop(version.pk, None)
            return
        known = self._broken.get(version.pk)
        folder = _folder_state(version.path)
        if known and known.folder == folder and time.monotonic() < known.retry_at_s:
            return
        try:
            self._serve(version)
        except Exception as error:  # whatever one version does, the others must be followed
            self._broken[version.pk] = _Broken(folder, time.monotonic() + BROKEN_RETRY_S)
            if known is None:
                trace = None if isinstance(error, ArtifactError) else error
                logger.log(
                    logging.ERROR,
                    "The active version %s does not load: %s",
                    version,
                    error,
                    exc_info=trace,
                )
            if serving is None:
                self._serve_first(_earlier_versions(version))
        else:
            self._broken.pop(version.pk, None)

    def _serve(self, version: ModelVersion) -> None:
        """Load `version` whole, then let it take over."""
        served = ServedVersion(
            version_id=version.pk,
            number=version.number,
            recognizer_id=version.recognizer_id,
            slug=version.recognizer.slug,
            classifier=load_version(version),
        )
        # A new mapping rather than a changed one: readers take no lock.
        self._served = {**self._served, served.slug: served}
        logger.info("Serving %s.", version)

    def _serve_first(self, versions: Iterable[ModelVersion]) -> None:
        """Serve the first of `versions` that loads."""
        for version in versions:
            try:
                self._serve(version)
            except Exception as error:
                logger.warning("%s cannot stand in: %s", version, error)
            else:
                return

    def _refresh_or_log(self) -> None:
        """Refresh; a database that does not answer, or any other fault, ends nothing."""
        try:
            self.refresh()
        except DatabaseError as error:
            if self._database_answers or self._thread is None:
                logger.warning("The active versions cannot be read: %s", error)
            self._database_answers = False
        except Exception:
            logger.exception("Following the active versions failed; trying again.")

    def _follow(self, wake: threading.Event, stop: threading.Event) -> None:
        """Poll until `stop`."""
        try:
            while True:
                wake.wait(settings.SERVING_POLL_S)
                if stop.is_set():
                    return
                wake.clear()
                self._refresh_or_log()
                if not self._database_answers:
                    connections.close_all()  # a new connection may do better
        finally:
            connections.close_all()


def _earlier_versions(version: ModelVersion) -> Iterable[ModelVersion]:
    """Other versions of the recognizer that served before, the latest first."""
    return (
        ModelVersion.objects.filter(recognizer=version.recognizer_id, activated_at__isnull=False)
        .exclude(pk=version.pk)
        .select_related("recognizer")
        .order_by("-activated_at", "-number")
    )


def _folder_state(directory: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of a folder's files: equal while nobody has touched it."""
    try:
        with os.scandir(directory) as entries:
            files = [(entry.name, entry.stat()) for entry in entries]
    except OSError:
        return ()
    return tuple(sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in files))


registry = Registry()


def _forget_after_fork() -> None:
    """Begin anew in a forked child: threads did not come along, locks may be held for ever."""
    registry.reset()


os.register_at_fork(after_in_child=_forget_after_fork)
