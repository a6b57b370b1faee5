"""`manage.py prepare`: make the data directory ready for serving; does only what is needed."""

import fcntl
import hashlib
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

from recognition.statistics import gather_statistics

ADMIN_NAME: Final = "admin"
STAMP_NAME: Final = ".made-from"


class Command(BaseCommand):
    help = (
        "Make the data directory ready: folders, database, static files, shipped recognizers "
        "and the admin user. Does only what is needed; safe to run again and twice at once."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        for directory in (
            settings.DATA_DIR,
            settings.VERSIONS_DIR,
            settings.TRAINING_DIR,
            settings.CACHE_DIR,
            settings.MEDIA_ROOT,
        ):
            Path(directory).mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(settings.DATA_DIR / ".prepare.lock"):
            self._migrate()
            gather_statistics()
            self._collect_static()
            self._register_shipped()
            self._make_admin()

    def _migrate(self) -> None:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            self.stdout.write("Bringing the database up to date …")
            call_command("migrate", interactive=False, verbosity=0)

    def _collect_static(self) -> None:
        """Collect the static files anew when one of their sources has changed."""
        stamp_file = Path(settings.STATIC_ROOT) / STAMP_NAME
        stamp = _static_sources_stamp()
        if stamp_file.is_file() and stamp_file.read_text(encoding="ascii") == stamp:
            return
        self.stdout.write("Collecting the static files …")
        shutil.rmtree(settings.STATIC_ROOT, ignore_errors=True)
        call_command("collectstatic", interactive=False, verbosity=0)
        stamp_file.write_text(stamp, encoding="ascii")

    def _register_shipped(self) -> None:
        from recognition import services  # loads LiteRT: not before the database is there

        for version in services.register_shipped():
            self.stdout.write(f"Registered {version}.")

    def _make_admin(self) -> None:
        """Make the first administrator; the password is shown this once."""
        users = get_user_model()._default_manager
        with transaction.atomic():
            if users.filter(is_superuser=True).exists():
                return
            password = secrets.token_urlsafe(12)
            users.create_superuser(ADMIN_NAME, password=password)
        self.stdout.write(
            f"The admin user is “{ADMIN_NAME}” with the password “{password}”. It is shown "
            f"only now; `python manage.py changepassword {ADMIN_NAME}` sets another."
        )


@contextmanager
def _one_at_a_time(lock_file: Path) -> Iterator[None]:
    """Let a second process wait until the first has finished."""
    with lock_file.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _static_sources_stamp() -> str:
    """Return a hash of the names, sizes and times of all static files before collecting."""
    digest = hashlib.sha256(settings.STORAGES["staticfiles"]["BACKEND"].encode())
    for finder in get_finders():
        for name, storage in finder.list(ignore_patterns=None):
            stat = Path(storage.path(name)).stat()
            digest.update(f"{name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
