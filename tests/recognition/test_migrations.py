"""Rows of an earlier Lacewing come along."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

BEFORE_THE_LOOP = ("recognition", "0004_answers")


def migrate(*targets: tuple[str, str]) -> Any:
    """Migrate to the targets, or to the newest; return the rows' classes at that state."""
    executor = MigrationExecutor(connection)
    goals = list(targets) or executor.loader.graph.leaf_nodes()
    executor.migrate(goals)
    return MigrationExecutor(connection).loader.project_state(goals).apps


@pytest.fixture
def earlier(transactional_db: None) -> Iterator[Any]:
    """Return the classes of the rows before there were reviews by two and a record."""
    yield migrate(BEFORE_THE_LOOP)
    migrate()


def test_suggestions_get_a_time_and_the_active_version_begins_the_record(earlier: Any) -> None:
    now = timezone.now()
    recognizer = earlier.get_model("recognition", "Recognizer").objects.create(
        slug="colors", name="Colours"
    )
    version = earlier.get_model("recognition", "ModelVersion").objects.create(
        recognizer=recognizer,
        number=3,
        labels=["blue", "red"],
        is_active=True,
        activated_at=now,
        activation_note="better",
    )
    prediction = earlier.get_model("recognition", "Prediction").objects.create(
        recognizer=recognizer,
        model_version=version,
        picture="pictures/a.jpg",
        width_px=1,
        height_px=1,
        probabilities=[0.2, 0.8],
        label="red",
        probability=0.8,
        margin=0.6,
        duration_ms=1.0,
        state="suggested",
        suggested_label="blue",
    )
    later = migrate()
    row = later.get_model("recognition", "Prediction").objects.get()
    assert row.suggested_at == prediction.created_at
    activation = later.get_model("recognition", "Activation").objects.get()
    assert (activation.version_id, activation.kind) == (version.pk, "chosen")
    assert (activation.activated_at, activation.reason) == (now, "better")
