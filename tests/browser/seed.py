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


def add_cards(slug: str) -> None:
    """Make one more recognizer of colours whose pictures wait for a review.

    To be called from a shell of the running site. From the latest on: three that are taken for
    red, of the second of which its uploader says that it is blue, and a fourth taken for blue.
    """
    from datetime import timedelta

    from django.utils import timezone

    from recognition import services
    from recognition.models import Prediction, Recognizer
    from tests.recognition.conftest import write_color_artifact
    from tests.recognition.predictions import make_prediction

    recognizer = Recognizer.objects.create(slug=slug, name=f"Colours of {slug}")
    with TemporaryDirectory() as directory:
        artifact = write_color_artifact(Path(directory) / "made", labels=COLORS, name=slug)
        version = services.register_version(recognizer, artifact, metrics=METRICS)
    services.activate_version(version, note=slug)
    now = timezone.now()
    rows: list[Prediction] = [
        make_prediction(version, label=label, created_at=now - timedelta(minutes=number))
        for number, label in enumerate(("red", "red", "red", "blue"))
    ]
    services.suggest_label(rows[1], "blue")


if __name__ == "__main__":
    main()
