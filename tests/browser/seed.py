"""Fill a fresh data directory for the browser: `python -m tests.browser.seed`.

Two recognizers that need no training: one of colours, and one whose every text attacks the
page that shows it. An administrator looks at them too.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import django
from django.core.management import call_command

HOSTILE = '"><script>alert(1)</script>'
ADMIN_NAME, ADMIN_PASSWORD = "reviewer", "only-for-this-test"
METRICS = {
    "accuracy": 0.9,
    "accuracy_low": 0.74,
    "accuracy_high": 0.97,
    "n_test": 30,
    "top3_accuracy": 1.0,
    "macro_f1": 0.9,
    "ece": 0.02,
}
COLORS = ("blue", "dark_green", "red")


def main() -> None:
    """Migrate, then make the rows and their artifacts."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "classifier_site.settings")
    django.setup()
    call_command("migrate", verbosity=0)

    from django.contrib.auth import get_user_model

    from recognition import services
    from recognition.models import Recognizer
    from tests.recognition.conftest import write_color_artifact

    get_user_model().objects.create_superuser(ADMIN_NAME, password=ADMIN_PASSWORD)
    for slug, name, labels in (
        ("colors", "Colours", COLORS),
        ("hostile", HOSTILE, (HOSTILE, f"{HOSTILE} 2", f"{HOSTILE} 3")),
    ):
        recognizer = Recognizer.objects.create(slug=slug, name=name, description=name)
        with TemporaryDirectory() as directory:
            artifact = write_color_artifact(Path(directory) / "made", labels=labels, name=name)
            version = services.register_version(recognizer, artifact, metrics=METRICS)
        services.activate_version(version, note=name)


if __name__ == "__main__":
    main()
