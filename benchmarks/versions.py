"""Model versions for measurements, in a process of its own on the data of a running server.

`python -m benchmarks.versions register SLUG DIR | relabel SLUG | alternate SLUG TIMES PAUSE_S`
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

LABEL_PREFIX = "second "


def main() -> None:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("register", "relabel", "alternate"):
        commands.add_parser(name).add_argument("slug")
    commands.choices["register"].add_argument("directory", type=Path)
    commands.choices["alternate"].add_argument("times", type=int)
    commands.choices["alternate"].add_argument("pause_s", type=float)
    arguments = parser.parse_args()

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "classifier_site.settings")
    import django

    django.setup()
    match arguments.command:
        case "register":
            register(arguments.slug, arguments.directory)
        case "relabel":
            relabel(arguments.slug)
        case "alternate":
            alternate(arguments.slug, arguments.times, arguments.pause_s)


def register(slug: str, directory: Path) -> None:
    """Register the artifact in `directory` as the next version of `slug` and activate it."""
    from recognition import services
    from recognition.models import Recognizer

    recognizer, _ = Recognizer.objects.get_or_create(slug=slug, defaults={"name": slug})
    version = services.register_version(recognizer, directory, metrics={})
    services.activate_version(version, note="for a measurement")


def relabel(slug: str) -> None:
    """Register a copy of the active version whose labels all begin with `LABEL_PREFIX`."""
    from ml.artifact import read_artifact, write_artifact
    from recognition.models import Recognizer

    recognizer = Recognizer.objects.get(slug=slug)
    active = recognizer.active_version()
    if active is None:
        raise SystemExit(f"{slug} has no active version.")
    metadata = read_artifact(active.path)
    labels = tuple(LABEL_PREFIX + label for label in metadata.labels)
    files = {name: (active.path / name).read_bytes() for name in metadata.files}
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "version"
        write_artifact(directory, replace(metadata, labels=labels, files={}), files)
        register(slug, directory)


def alternate(slug: str, times: int, pause_s: float) -> None:
    """Roll back and activate the newest version again, `times` in all."""
    from recognition import services
    from recognition.models import Recognizer

    recognizer = Recognizer.objects.get(slug=slug)
    newest = recognizer.versions.order_by("-number")[0]
    for turn in range(times):
        if turn % 2 == 0:
            services.rollback(recognizer)
        else:
            newest.refresh_from_db()
            services.activate_version(newest, note="for a measurement")
        time.sleep(pause_s)


if __name__ == "__main__":
    main()
