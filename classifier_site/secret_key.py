"""The secret key that signs cookies: made on first run, then read."""

import os
import secrets
from pathlib import Path

from classifier_site.environment import SettingError

KEY_BYTES = 64
MINIMUM_LENGTH = 50  # what Django's own deployment check asks for


def read_or_create_secret_key(path: Path) -> str:
    """Return the key in `path`, made with mode 0600 when there is none.

    Two processes may start at once on an empty directory: each writes its own temporary
    file and links it to `path`, which fails for the second, so both read the same whole
    key.

    Raises:
        SettingError: the file cannot be read or made, or holds no usable key.
    """
    try:
        if not path.exists():
            _create(path)
        key = path.read_text(encoding="ascii").strip()
    except OSError as error:
        allowed = f"a directory where {path.name} can be read and written ({error.strerror})"
        raise SettingError("LACEWING_DATA_DIR", str(path.parent), allowed) from error
    if len(key) < MINIMUM_LENGTH:
        raise SettingError(
            "LACEWING_SECRET_KEY",
            f"the {len(key)} characters in {path}",
            f"at least {MINIMUM_LENGTH} characters; remove the file to have a new key made, "
            "which signs everybody out",
        )
    return key


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass  # another process was first: its key counts
    finally:
        draft.unlink()
