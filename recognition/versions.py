"""Model versions: taken in from disk, activated, rolled back.

The folder of a version never changes; what moves is one row's `is_active`, in one
transaction, and every serving process follows it.
"""

import errno
import json
import re
import shutil
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from ml.artifact import METADATA_NAME, ArtifactMetadata, read_artifact
from ml.errors import ArtifactError
from recognition import serving
from recognition.errors import ApplicationError
from recognition.models import Activation, ModelVersion, Recognizer

REPORT_NAME = "report.json"
_VERSION_FOLDER = re.compile(r"v([1-9][0-9]{0,8})")


def register_version(
    recognizer: Recognizer, directory: Path, *, metrics: Mapping[str, Any]
) -> ModelVersion:
    """Take a finished artifact in as the recognizer's next version; it is not activated.

    The folder is verified, then moved to `VERSIONS_DIR/<slug>/v<number>`, unless it is
    there already under a number that is free. On failure it stays where it was.

    Raises:
        ArtifactError: the folder is not a whole, unaltered artifact.
    """
    metadata = read_artifact(directory)
    home = Path(settings.VERSIONS_DIR) / recognizer.slug
    with transaction.atomic():
        Recognizer.objects.select_for_update().get(pk=recognizer.pk)  # numbers one at a time
        number = _number_of(recognizer, directory, home)
        target = home / f"v{number}"
        version = _version_row(
            recognizer,
            directory,
            metadata,
            number=number,
            relative=target.relative_to(settings.VERSIONS_DIR),
            metrics=metrics,
        )
        version.save(force_insert=True)
        # Last, so that a refused row leaves the folder alone; a commit that fails after it
        # leaves a folder without a row, which `check_storage` names.
        if directory.resolve() != target.resolve():
            _move(directory, target)
    return version


def read_metrics(directory: Path) -> dict[str, Any]:
    """Return the figures of a finished artifact's report, for the row that lists show.

    The summary under "metrics" beside the full report on the test split; nothing where the
    artifact has no report.

    Raises:
        ArtifactError: `bad_metadata`, the report is not the one that a training writes.
    """
    path = directory / REPORT_NAME
    try:
        report = json.loads(path.read_bytes())
        return {**report.get("test", {}), **report["metrics"]}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            "bad_metadata", f"{path} does not hold the figures of a training ({error!r})."
        ) from error


def activate_version(
    version: ModelVersion,
    note: str = "",
    *,
    kind: Activation.Kind = Activation.Kind.CHOSEN,
    person: AbstractBaseUser | None = None,
    gate: Mapping[str, Any] | None = None,
) -> None:
    """Make `version` the one that serves; every process takes it within `SERVING_POLL_S`.

    `note` says why, for people; `kind` and `person` go into the record of activations, and
    `gate`, if given, becomes the verdict kept beside the version. The artifact is loaded once
    here first: one that does not work is refused and the active version stays.

    Raises:
        ArtifactError: the artifact is missing, altered or does not work.
    """
    serving.load_version(version)
    with transaction.atomic():
        # Two activations at once wait for each other here; the later one wins whole.
        Recognizer.objects.select_for_update().get(pk=version.recognizer_id)
        before = ModelVersion.objects.filter(recognizer=version.recognizer_id, is_active=True)
        previous = before.exclude(pk=version.pk).first()
        before.exclude(pk=version.pk).update(is_active=False)
        version.is_active = True
        version.is_challenger = version.is_proposed = False
        version.activated_at = timezone.now()
        version.activation_note = note
        if gate is not None:
            version.gate = dict(gate)
        version.save(
            update_fields=[
                "is_active",
                "is_challenger",
                "is_proposed",
                "activated_at",
                "activation_note",
                *(["gate"] if gate is not None else []),
            ]
        )
        Activation.objects.create(
            recognizer_id=version.recognizer_id,
            version=version,
            previous_version=previous,
            kind=kind,
            reason=note,
            person_id=person.pk if person else None,
            activated_at=version.activated_at,
        )
        transaction.on_commit(serving.registry.wake)


def rollback_target(active: ModelVersion) -> ModelVersion | None:
    """Return the version that a rollback from `active` would activate, or None."""
    earlier = ModelVersion.objects.select_related("recognizer").filter(
        recognizer=active.recognizer_id, number__lt=active.number, activated_at__isnull=False
    )
    return earlier.order_by("-number").first()


def version_at(recognizer: Recognizer, moment: datetime) -> ModelVersion | None:
    """Return the version that served at `moment`, or None where none did yet."""
    record = recognizer.activations.filter(activated_at__lte=moment).select_related("version")
    activation = record.order_by("-activated_at", "-id").first()
    return activation.version if activation else None


def rollback(recognizer: Recognizer, person: AbstractBaseUser | None = None) -> ModelVersion:
    """Activate the newest version below the active one that has served before; return it.

    Raises:
        ApplicationError: `nothing_to_roll_back_to`.
        ArtifactError: that version's artifact does not work; the active version stays.
    """
    active = recognizer.active_version()
    earlier = rollback_target(active) if active else None
    if active is None or earlier is None:
        received = f"version {active.number} is active" if active else "no version is active"
        raise ApplicationError(
            "nothing_to_roll_back_to",
            f'"{recognizer.slug}" has no earlier version that has served: {received}. '
            "Activate the version you want by its number.",
            HTTPStatus.CONFLICT,
        )
    activate_version(
        earlier,
        note=f"Rolled back from version {active.number}.",
        kind=Activation.Kind.ROLLED_BACK,
        person=person,
    )
    return earlier


def register_shipped() -> list[ModelVersion]:
    """Take in the versions that ship with Lacewing; return the new rows.

    Each folder `PRETRAINED_DIR/<slug>` is the version of the recognizer `<slug>`. It is
    activated where the recognizer has no version yet, or where the active one is the
    content that an upgrade of Lacewing has replaced in the same folder. Idempotent.

    Raises:
        ArtifactError: a shipped folder is damaged.
        ValidationError: a folder's name cannot be a recognizer's address.
    """
    root = Path(settings.PRETRAINED_DIR)
    if not root.is_dir():
        return []
    folders = sorted(path for path in root.iterdir() if (path / METADATA_NAME).is_file())
    return [version for folder in folders if (version := _register_shipped_folder(folder))]


def _register_shipped_folder(folder: Path) -> ModelVersion | None:
    """Take one shipped folder in, unless its content is known."""
    fingerprint = serving.metadata_sha256(folder)
    recognizer = Recognizer.objects.filter(slug=folder.name).first()
    shipped = ModelVersion.objects.filter(
        recognizer__slug=folder.name, is_shipped=True, metadata_sha256=fingerprint
    )
    if shipped.exists():
        return None
    metadata = read_artifact(folder)
    with transaction.atomic():
        if recognizer is None:
            recognizer = Recognizer(slug=folder.name, name=metadata.name)
            recognizer.full_clean()
            recognizer.save()
        else:
            recognizer = Recognizer.objects.select_for_update().get(pk=recognizer.pk)
        active = recognizer.active_version()
        must_activate = (
            active.is_shipped and active.directory == folder.name
            if active
            else not recognizer.versions.exists()
        )
        version = _version_row(
            recognizer,
            folder,
            metadata,
            number=_next_number(recognizer, Path(settings.VERSIONS_DIR) / recognizer.slug),
            relative=Path(folder.name),
            metrics=read_metrics(folder),
        )
        version.is_shipped = True
        version.save(force_insert=True)
        if must_activate:
            activate_version(version, note="Ships with Lacewing.", kind=Activation.Kind.SHIPPED)
    return version


def _version_row(
    recognizer: Recognizer,
    directory: Path,
    metadata: ArtifactMetadata,
    *,
    number: int,
    relative: Path,
    metrics: Mapping[str, Any],
) -> ModelVersion:
    """Return an unsaved row for the verified artifact in `directory`."""
    return ModelVersion(
        recognizer=recognizer,
        number=number,
        directory=relative.as_posix(),
        metadata_sha256=serving.metadata_sha256(directory),
        architecture=metadata.architecture,
        labels=list(metadata.labels),
        metrics=dict(metrics),
    )


def _number_of(recognizer: Recognizer, directory: Path, home: Path) -> int:
    """Return the number that `directory` has by its place and name if free, or the next."""
    match = _VERSION_FOLDER.fullmatch(directory.name)
    if match and directory.resolve().parent == home.resolve():
        number = int(match[1])
        if not recognizer.versions.filter(number=number).exists():
            return number
    return _next_number(recognizer, home)


def _next_number(recognizer: Recognizer, home: Path) -> int:
    """Return a number above every row's and every folder's, so that none is ever reused."""
    highest = recognizer.versions.aggregate(highest=Max("number"))["highest"] or 0
    names = [path.name for path in home.iterdir()] if home.is_dir() else []
    numbers = [int(match[1]) for name in names if (match := _VERSION_FOLDER.fullmatch(name))]
    return int(max([highest, *numbers])) + 1


def _move(source: Path, target: Path) -> None:
    """Move a folder so that `target` appears whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # Another file system: copy beside the target first, then rename.
        part = target.with_name(f".{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        try:
            shutil.copytree(source, part)
            part.rename(target)
        except OSError:
            shutil.rmtree(part, ignore_errors=True)
            raise
        shutil.rmtree(source)
