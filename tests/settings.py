"""Settings of the tests: the real ones over a data directory of their own."""

import atexit
import os
import shutil
import tempfile

for variable in [name for name in os.environ if name.startswith("LACEWING_")]:
    del os.environ[variable]
os.environ["LACEWING_DATA_DIR"] = tempfile.mkdtemp(prefix="lacewing-tests-")
atexit.register(shutil.rmtree, os.environ["LACEWING_DATA_DIR"], ignore_errors=True)

from classifier_site.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast, for test users only
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
