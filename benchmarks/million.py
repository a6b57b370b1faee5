"""A data directory with a million predictions, to measure what pages cost when many are there.

`python -m benchmarks.million DIR [--predictions N]` fills an empty directory: predictions over
200 days with their reviews as an installation of an earlier version left them, which are then
migrated (the time is printed), and audits, disputes, sketches and a challenger's answers after
that. `benchmarks.pages` measures the pages on it. Only the newest pictures have their file.
"""

import argparse
import json
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

BEFORE: Final = "0004_answers"  # the migration from which the timed ones start
DAYS: Final = 200
PATTERNS: Final = 4096  # different sets of probabilities
VISITORS: Final = 40_000
HEAVY_VISITOR: Final = uuid.UUID(int=1)  # has uploaded 1 in 200 pictures
AUDIT_EVERY: Final = 33  # 3 %
WITH_FILE: Final = 100
SHADOWED: Final = 200_000
BATCH_ROWS: Final = 20_000
REVIEWERS: Final = ("admin", "anna", "ben", "carla")
PESTS_SHARE: Final = 0.9  # the other tenth are digits

Rows = Iterator[tuple[Any, ...]]


def main() -> None:
    """Fill the directory and print what each step took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--predictions", type=int, default=1_000_000)
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    if any(arguments.directory.iterdir()):
        raise SystemExit(f"{arguments.directory} is not empty: name one that is.")
    os.environ["LACEWING_DATA_DIR"] = str(arguments.directory.resolve())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "classifier_site.settings")
    import django

    django.setup()
    fill(arguments.predictions)


def fill(count: int) -> None:
    """Fill the data directory of the settings."""
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    database = Path(str(settings.DATABASES["default"]["NAME"]))
    with _Step("empty database of the earlier version"):
        call_command("migrate", "recognition", BEFORE, verbosity=0)
        for app in ("auth", "contenttypes", "admin", "sessions"):
            call_command("migrate", app, verbosity=0)
        versions = _earlier_rows()
    connection.close()
    with _Step(f"{count:,} predictions and their reviews"):
        _insert_predictions(database, versions, count)
    with _Step("migrations to the present"):
        call_command("migrate", verbosity=0)
    connection.close()
    with _Step("audits, disputes, sketches, a challenger's answers"):
        _add_what_is_new(database)
        _add_activations()
    with _Step("static files and pictures"):
        call_command("prepare", verbosity=0)
        _write_pictures(database)
    size_mb = database.stat().st_size / 1e6
    print(f"{database}: {size_mb:,.0f} MB")


class _Step:
    """Prints what the block took."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._started_s = time.perf_counter()

    def __exit__(self, *exception: object) -> None:
        print(f"{time.perf_counter() - self._started_s:8.1f} s  {self._name}", flush=True)


def _earlier_rows() -> list[tuple[int, int, list[str]]]:
    """Make recognizers, versions and reviewers; return (recognizer, version, labels) of each."""
    from django.conf import settings
    from django.contrib.auth import get_user_model
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    from ml.artifact import read_artifact
    from recognition.serving import metadata_sha256

    for name in REVIEWERS:
        get_user_model()._default_manager.create_superuser(name, password="")
    apps = MigrationExecutor(connection).loader.project_state(("recognition", BEFORE)).apps
    recognizers = apps.get_model("recognition", "Recognizer")._default_manager
    versions = apps.get_model("recognition", "ModelVersion")._default_manager
    made = []
    now = datetime.now(UTC)
    for slug, numbers in (("pests", 4), ("digits", 1)):
        folder = Path(settings.PRETRAINED_DIR) / slug
        metadata = read_artifact(folder)
        report = json.loads((folder / "report.json").read_bytes())
        recognizer = recognizers.create(slug=slug, name=metadata.name)
        for number in range(1, numbers + 1):
            served = number <= 3
            version = versions.create(
                recognizer=recognizer,
                number=number,
                directory=slug,
                is_shipped=True,
                metadata_sha256=metadata_sha256(folder),
                architecture=metadata.architecture,
                labels=list(metadata.labels),
                metrics={**report["test"], **report["metrics"]},
                is_active=number == min(numbers, 3),
                activated_at=now - timedelta(days=DAYS - 60 * number) if served else None,
            )
            made.append((recognizer.pk, version.pk, list(metadata.labels)))
    return made


def _insert_predictions(
    database: Path, versions: list[tuple[int, int, list[str]]], count: int
) -> None:
    connection = _fast_connection(database)
    reviewers = [row[0] for row in connection.execute("SELECT id FROM auth_user ORDER BY id")]
    # What later steps single out; dropped when they are done.
    connection.execute("CREATE TABLE seeded_audit (id TEXT PRIMARY KEY) WITHOUT ROWID")
    columns = (
        "id, recognizer_id, model_version_id, visitor_id, picture, picture_sha256, width_px, "
        "height_px, probabilities, label, probability, margin, answer, set_level, set_size, "
        "novelty, novelty_threshold, activation_map, activation_region, duration_ms, state, "
        "suggested_label, reviewed_label, created_at"
    )
    places = ", ".join("?" * 24)
    rng = np.random.default_rng(20_261_126)
    predictions = _predictions(rng, versions, count)
    while batch := list(islice(predictions, BATCH_ROWS)):
        connection.executemany(
            f"INSERT INTO recognition_prediction ({columns}) VALUES ({places})",  # noqa: S608
            (row for row, _is_audit in batch),
        )
        connection.executemany(
            "INSERT INTO seeded_audit VALUES (?)", ((row[0],) for row, audit in batch if audit)
        )
        connection.executemany(
            "INSERT INTO recognition_review "
            "(prediction_id, reviewer_id, previous_label, label, created_at) "
            "VALUES (?, ?, ?, ?, ?)",
            (
                (row[0], reviewers[int(row[0][:4], 16) % 3], row[9], row[22], row[23])
                for row, _is_audit in batch
                if row[20] == "reviewed"
            ),
        )
    connection.commit()
    connection.close()


def _predictions(
    rng: np.random.Generator, versions: list[tuple[int, int, list[str]]], count: int
) -> Iterator[tuple[tuple[Any, ...], bool]]:
    """Yield the values of each prediction, oldest first, and whether it is to be an audit."""
    pests, digits = versions[:3], versions[4]
    patterns = {version: _patterns(rng, labels) for _r, version, labels in (pests[0], digits)}
    maps = [json.dumps(rng.integers(0, 256, (7, 7)).tolist()) for _ in range(64)]
    start = datetime.now(UTC) - timedelta(days=DAYS)
    seconds = np.sort(rng.random(count)) * DAYS * 86_400
    for start_row in range(0, count, BATCH_ROWS):
        size = min(BATCH_ROWS, count - start_row)
        drawn = rng.random((size, 6))
        chosen = rng.integers(0, PATTERNS, size)
        visitors = rng.integers(2, VISITORS, size)
        noise = rng.bytes(48 * size).hex()
        for i in range(size):
            row = start_row + i
            recognizer, version, labels = (
                pests[min(2, row * 3 // count)] if drawn[i, 0] < PESTS_SHARE else digits
            )
            source = patterns[digits[1] if version == digits[1] else pests[0][1]]
            probabilities, label, probability, margin = source[chosen[i]]
            is_audit = row % AUDIT_EVERY == 0
            answer = "none" if drawn[i, 1] < 0.05 else "one" if margin > 0.3 else "several"
            state, suggested, reviewed = "predicted", "", ""
            if drawn[i, 2] < (0.9 if is_audit else 0.2):
                state = "reviewed"
                reviewed = label if drawn[i, 3] < 0.88 else labels[int(drawn[i, 4] * len(labels))]
            elif drawn[i, 2] > 0.98:
                state, suggested = "suggested", labels[int(drawn[i, 4] * len(labels))]
            visitor = HEAVY_VISITOR.int if row % 200 == 0 else int(visitors[i])
            name = noise[96 * i : 96 * i + 32]
            moment = start + timedelta(seconds=float(seconds[row]))
            yield (
                (
                    name,
                    recognizer,
                    version,
                    f"{visitor:032x}",
                    f"pictures/{name[:2]}/{uuid.UUID(name)}.jpg",
                    noise[96 * i + 32 : 96 * i + 96],
                    800,
                    600,
                    probabilities,
                    label,
                    probability,
                    margin,
                    answer,
                    None if answer == "none" else 0.95,
                    None if answer == "none" else 1 if answer == "one" else 3,
                    2.0 if answer == "none" else 0.5,
                    1.0,
                    maps[row % len(maps)],
                    "[0.0, 0.0, 1.0, 1.0]",
                    12.5,
                    state,
                    suggested,
                    reviewed,
                    f"{moment:%Y-%m-%d %H:%M:%S.%f}",
                ),
                is_audit,
            )


def _patterns(rng: np.random.Generator, labels: list[str]) -> list[tuple[str, str, float, float]]:
    """Return (probabilities as JSON, label, probability, margin) of some thousand answers."""
    logits = rng.normal(0, 3, (PATTERNS, len(labels)))
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    made = []
    for row in shares:
        second, best = np.sort(row)[-2:].round(6)
        text = json.dumps([round(float(share), 6) for share in row])
        made.append(
            (text, labels[int(row.argmax())], float(best), max(0.0, round(best - second, 6)))
        )
    return made


def _add_what_is_new(database: Path) -> None:
    """Add what the migrated rows cannot have: audits, second opinions, sketches, a challenger."""
    connection = _fast_connection(database)
    reviewers = [row[0] for row in connection.execute("SELECT id FROM auth_user ORDER BY id")]
    run = connection.execute
    run("UPDATE recognition_prediction SET is_audit = 1 WHERE id IN (SELECT id FROM seeded_audit)")
    run("DROP TABLE seeded_audit")
    # Of the reviewed one in twenty was seen by a second reviewer, who mostly agreed.
    second = "state = 'reviewed' AND substr(id, 5, 1) = 'a' AND substr(id, 6, 1) < 'c'"
    for label, state in (("reviewed_label", "agreed"), ("'slug'", "disputed")):
        chosen = f"{second} AND substr(id, 7, 1) {'<' if state == 'agreed' else '>='} 'f'"
        run(
            "INSERT INTO recognition_review (prediction_id, reviewer_id, previous_label, label, "  # noqa: S608
            f"is_retraction, created_at) SELECT id, {reviewers[3]}, reviewed_label, {label}, 0, "
            f"created_at FROM recognition_prediction WHERE {chosen}"
        )
        settled = "" if state == "agreed" else ", reviewed_label = ''"
        run(f"UPDATE recognition_prediction SET state = '{state}'{settled} WHERE {chosen}")  # noqa: S608
    sketches = np.random.default_rng(7).normal(0, 0.125, (PATTERNS, 64)).astype("<f2")
    ids = [row[0] for row in run("SELECT id FROM recognition_prediction ORDER BY id")]
    connection.executemany(
        "INSERT INTO recognition_embedding (prediction_id, sketch) VALUES (?, ?)",
        ((name, sketches[int(name[8:11], 16)].tobytes()) for name in ids),
    )
    challenger = run(
        "SELECT id FROM recognition_modelversion WHERE number = 4 ORDER BY id LIMIT 1"
    ).fetchone()[0]
    run("UPDATE recognition_modelversion SET is_challenger = 1 WHERE id = ?", (challenger,))
    run(
        "INSERT INTO recognition_reprediction (prediction_id, model_version_id, probabilities, "
        "label, probability, answer, is_shadow, agrees, created_at) "
        "SELECT id, ?1, probabilities, CASE substr(id, 9, 1) WHEN '0' THEN 'slug' ELSE label END, "
        "probability, answer, 1, substr(id, 9, 1) <> '0' OR label = 'slug', created_at "
        "FROM recognition_prediction WHERE recognizer_id = (SELECT recognizer_id FROM "
        "recognition_modelversion WHERE id = ?1) ORDER BY created_at DESC LIMIT ?2",
        (challenger, SHADOWED),
    )
    connection.commit()
    connection.close()


def _add_activations() -> None:
    """Complete the record of activations, so that the dashboard has changes to mark."""
    from recognition.models import Activation, ModelVersion

    for version in ModelVersion.objects.filter(is_active=False):
        if version.activated_at is None:
            continue
        Activation.objects.create(
            recognizer_id=version.recognizer_id,
            version=version,
            kind=Activation.Kind.GATE,
            activated_at=version.activated_at,
        )


def _write_pictures(database: Path) -> None:
    """Give the newest predictions their pictures."""
    from django.conf import settings

    connection = _fast_connection(database)
    pictures = connection.execute(
        "SELECT picture FROM recognition_prediction ORDER BY created_at DESC LIMIT ?", (WITH_FILE,)
    )
    buffer = BytesIO()
    Image.linear_gradient("L").resize((800, 600)).convert("RGB").save(buffer, "JPEG")
    for (picture,) in pictures:
        path = Path(settings.MEDIA_ROOT) / picture
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
    connection.close()


def _fast_connection(database: Path) -> sqlite3.Connection:
    """Open the database for bulk work: nothing is lost if it breaks, one starts again."""
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -1000000")  # KiB
    return connection


if __name__ == "__main__":
    main()
