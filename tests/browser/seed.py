"""Fill a fresh data directory for the browser: `python -m tests.browser.seed`.

Two recognizers that need no training: one of colours, and one whose every text attacks the
page that shows it. An administrator looks at them too.
"""

import json
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
    _add_candidates()


def _add_candidates() -> None:
    """Give each recognizer a version that the gate found worse, with pictures that flipped."""
    from ml.flips import FLIPS_NAME
    from recognition import challengers, gating, services
    from recognition.models import Recognizer
    from tests.recognition.conftest import write_color_artifact
    from tests.recognition.flips import many_flips

    for recognizer in Recognizer.objects.order_by("id"):
        incumbent = recognizer.versions.get()
        first, _second, third = incumbent.labels
        change = {"support": 9, "old_recall": 0.9, "new_recall": 0.25, "gained": 0, "lost": 18}
        comparison = {
            "verdict": "worse",
            "reasons": [f"{first}: 18 newly wrong."],
            "n": 30,
            "p": 0.001,
            "old_accuracy": 0.9,
            "new_accuracy": 0.5,
            "gained": [{}],
            "lost": [{}] * 18,
            "per_class": [{"label": first, **change, "p": 0.001, "worse": True}],
        }
        files = {
            "report.json": json.dumps({"comparison": comparison}).encode(),
            FLIPS_NAME: many_flips(first, third).to_bytes(),
        }
        with TemporaryDirectory() as directory:
            artifact = write_color_artifact(
                Path(directory) / "made", labels=incumbent.labels, name=recognizer.name, files=files
            )
            version = services.register_version(recognizer, artifact, metrics=METRICS)
        gating.decide(version, comparison, incumbent=incumbent)
        challengers.set_challenger(version)


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
