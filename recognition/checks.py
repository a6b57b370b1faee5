"""System checks: what must be there before Lacewing can work, each with how to mend it."""

import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register
from django.db import DatabaseError

from ml.artifact import METADATA_NAME
from recognition.models import ModelVersion


@register(Tags.files)
def check_data_directory(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> Iterable[CheckMessage]:
    """E001: the data directory, or where it would be made, can be written."""
    directory = existing = Path(settings.DATA_DIR)
    while not existing.exists():
        existing = existing.parent
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return
    yield Error(
        f"The data directory {directory} cannot be written.",
        hint="Set LACEWING_DATA_DIR to a directory that this user may write.",
        id="recognition.E001",
    )


@register(Tags.files)
def check_shipped_versions(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> Iterable[CheckMessage]:
    """W001: the folder of the versions that ship is there."""
    directory = Path(settings.PRETRAINED_DIR)
    if not directory.is_dir():
        yield checks.Warning(
            f"The folder of shipped model versions, {directory}, is missing.",
            hint="Restore ml/pretrained from the repository, or train recognizers of your own.",
            id="recognition.W001",
        )


@register(Tags.security)
def check_secret_key_file(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> Iterable[CheckMessage]:
    """W002: nobody but its owner may read the secret key."""
    path = Path(settings.DATA_DIR) / "secret_key"
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # the key comes from the environment
    if stat.S_IMODE(mode) & 0o077:
        yield checks.Warning(
            f"Other users of this machine may read {path} (mode {stat.S_IMODE(mode):03o}).",
            hint=f"chmod 600 {path}",
            id="recognition.W002",
        )


@register(Tags.security, deploy=True)
def check_debug(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> Iterable[CheckMessage]:
    """E002: a deployment shows no debug pages, which tell settings and local variables."""
    if settings.DEBUG:
        yield Error(
            "DEBUG is on.",
            hint="Unset LACEWING_DEBUG.",
            id="recognition.E002",
        )


@register(Tags.database)
def check_version_folders(
    app_configs: Sequence[AppConfig] | None, *, databases: Sequence[str] | None, **kwargs: Any
) -> Iterable[CheckMessage]:
    """W003: every model version that a row names has its folder."""
    if not databases:
        return
    try:
        versions = list(ModelVersion.objects.select_related("recognizer"))
    except DatabaseError:
        return  # not migrated yet, which `migrate` tells
    for version in versions:
        if not (version.path / METADATA_NAME).is_file():
            yield checks.Warning(
                f"The folder of {version}, {version.path}, is missing or has no {METADATA_NAME}.",
                hint=(
                    "Restore it from a backup"
                    + (", or activate another version." if version.is_active else ".")
                ),
                obj=version,
                id="recognition.W003",
            )
