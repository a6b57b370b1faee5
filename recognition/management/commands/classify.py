"""`classify SLUG PATH…`: the classes of files and folders, as a table or as CSV."""

import os
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from ml.answers import answer_of
from ml.errors import ArtifactError, LacewingError
from ml.images import decode_image
from ml.inference import Classifier
from recognition.answers import answer_text
from recognition.management.lookups import find_recognizer
from recognition.management.tables import aligned, printable, write_csv
from recognition.models import ModelVersion
from recognition.serving import load_version

DEFAULT_TOP_K = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One file: its answer in words and its likeliest classes, or why it has none."""

    path: Path
    answer: str = ""
    classes: Sequence[tuple[str, float]] = ()
    reason: str = ""


class Command(BaseCommand):
    """Classify files with the active version, outside the server and without TensorFlow.

    A file that cannot be read is named on stderr and the others go on; the exit status is 1
    then. Nothing is stored.
    """

    help = "Classify pictures: files, and folders with all they hold."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the recognizer, the pictures and the form of the output."""
        parser.add_argument("slug", help="the recognizer")
        parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="file or folder")
        parser.add_argument(
            "--top-k",
            type=_at_least_one,
            default=DEFAULT_TOP_K,
            metavar="K",
            help="how many classes a picture (default: %(default)s)",
        )
        parser.add_argument("--csv", type=Path, metavar="FILE", help="write CSV instead of a table")

    def handle(self, *args: Any, **options: Any) -> None:
        """Classify everything, print or write it, then tell what failed."""
        classifier = self._classifier(options["slug"])
        target: Path | None = options["csv"]
        if target is not None and (target.is_dir() or not target.parent.is_dir()):
            raise CommandError(f"--csv: {target} must be a file in a folder that exists.")
        top_k = min(options["top_k"], len(classifier.labels))
        files = list(dict.fromkeys(file for path in options["paths"] for file in _files(path)))
        if not files:
            raise CommandError("The folders hold no files. Name pictures, or folders of pictures.")
        outcomes = self._classify(classifier, files, top_k)
        rows = [_row(outcome) for outcome in outcomes if not outcome.reason]
        if target is not None:
            try:
                write_csv(target, [_headings(top_k), *rows])
            except OSError as error:
                raise CommandError(f"--csv: {target} cannot be written: {error}") from error
        elif rows:
            cells = [[printable(cell) for cell in row] for row in rows]
            self.stdout.write(aligned([_headings(top_k), *cells]))
        failed = len(outcomes) - len(rows)
        if failed:
            raise CommandError(f"{failed} of {len(outcomes)} files could not be classified.")

    @staticmethod
    def _classifier(slug: str) -> Classifier:
        version: ModelVersion | None = find_recognizer(slug).active_version()
        if version is None:
            raise CommandError(
                f'"{slug}" has no active version. "python manage.py recognizers" lists the '
                f'versions; "python manage.py activate {slug} VERSION" activates one.'
            )
        try:
            return load_version(version)
        except ArtifactError as error:
            raise CommandError(f"{version} does not load. {error.message}") from error

    def _classify(self, classifier: Classifier, files: Sequence[Path], top_k: int) -> list[Outcome]:
        """Classify in threads; the outcomes come in the order of the files."""
        outcomes = []
        watched = sys.stderr.isatty()
        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            results = pool.map(lambda path: classify_file(classifier, path, top_k), files)
            for outcome in tqdm(results, total=len(files), unit="img", disable=not watched):
                outcomes.append(outcome)
                if outcome.reason:
                    line = printable(f"{outcome.path}: {outcome.reason}")
                    tqdm.write(self.style.ERROR(line), file=sys.stderr)
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C need not wait for the rest
        return outcomes


def classify_file(classifier: Classifier, path: Path, top_k: int) -> Outcome:
    """Return the `top_k` likeliest classes of a file, or why it cannot be read."""
    try:
        picture = decode_image(path, max_pixels=settings.MAX_PIXELS)
        classification = classifier.classify_picture(picture.pixels)
    except LacewingError as error:
        return Outcome(path=path, reason=error.message)
    except OSError as error:
        return Outcome(path=path, reason=error.strerror or str(error))
    answer = answer_of(classification)
    text = answer_text(answer.kind, answer.labels, len(classification.labels)) if answer else ""
    return Outcome(path=path, answer=text, classes=classification.top(top_k))


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"must be a whole number from 1, received {text}")
    return int(text)


def _files(path: Path) -> Iterator[Path]:
    """Yield the file itself, or all of a folder in order; hidden ones are no pictures."""
    if not path.is_dir():
        yield path
        return
    for folder, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _headings(top_k: int) -> list[str]:
    ranks = ["", *(f"_{rank}" for rank in range(2, top_k + 1))]
    return [
        "path",
        "answer",
        *(f"{column}{rank}" for rank in ranks for column in ("label", "probability")),
    ]


def _row(outcome: Outcome) -> list[str]:
    pairs = [(label, f"{probability:.6f}") for label, probability in outcome.classes]
    return [str(outcome.path), outcome.answer, *(cell for pair in pairs for cell in pair)]
