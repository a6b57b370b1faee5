"""Rules of the loop that a portable CHECK cannot say, as triggers of SQLite and PostgreSQL.

- The record of activations is never edited.
- Only a picture that reviewers have settled, under their label, enters a training's snapshot.

The migration before has rebuilt tables of `0002_triggers`, whose triggers come back here. A
later migration that alters one of these tables must end with both `create_triggers` again.
"""

import importlib

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

first = importlib.import_module("recognition.migrations.0002_triggers")

ACTIVATION_MESSAGE = "the record of activations is never edited"
SNAPSHOT_MESSAGE = "only reviewed pictures may be learned from"

NOT_SETTLED = """
    NOT EXISTS (
        SELECT 1 FROM recognition_prediction
        WHERE id = NEW.prediction_id AND state IN ('reviewed', 'agreed')
        AND reviewed_label <> '' AND reviewed_label = NEW.label
    )
"""

SQLITE_CREATE = (
    f"""
    CREATE TRIGGER IF NOT EXISTS activation_is_append_only
    BEFORE UPDATE ON recognition_activation
    BEGIN SELECT RAISE(ABORT, '{ACTIVATION_MESSAGE}'); END
    """,
    f"""
    CREATE TRIGGER IF NOT EXISTS snapshot_takes_settled_pictures
    BEFORE INSERT ON recognition_snapshotitem
    WHEN {NOT_SETTLED}
    BEGIN SELECT RAISE(ABORT, '{SNAPSHOT_MESSAGE}'); END
    """,
)
SQLITE_DROP = (
    "DROP TRIGGER IF EXISTS activation_is_append_only",
    "DROP TRIGGER IF EXISTS snapshot_takes_settled_pictures",
)

POSTGRESQL_CREATE = (
    f"""
    CREATE OR REPLACE FUNCTION recognition_refuse_activation_change() RETURNS trigger
    LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '{ACTIVATION_MESSAGE}' USING ERRCODE = 'check_violation';
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER activation_is_append_only
    BEFORE UPDATE ON recognition_activation
    FOR EACH ROW EXECUTE FUNCTION recognition_refuse_activation_change()
    """,
    f"""
    CREATE OR REPLACE FUNCTION recognition_check_snapshot() RETURNS trigger
    LANGUAGE plpgsql AS $$
    BEGIN
        IF {NOT_SETTLED} THEN
            RAISE EXCEPTION '{SNAPSHOT_MESSAGE}' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER snapshot_takes_settled_pictures
    BEFORE INSERT ON recognition_snapshotitem
    FOR EACH ROW EXECUTE FUNCTION recognition_check_snapshot()
    """,
)
POSTGRESQL_DROP = (
    "DROP TRIGGER IF EXISTS activation_is_append_only ON recognition_activation",
    "DROP TRIGGER IF EXISTS snapshot_takes_settled_pictures ON recognition_snapshotitem",
    "DROP FUNCTION IF EXISTS recognition_refuse_activation_change()",
    "DROP FUNCTION IF EXISTS recognition_check_snapshot()",
)

STATEMENTS = {
    "sqlite": (SQLITE_CREATE, SQLITE_DROP),
    "postgresql": (POSTGRESQL_CREATE, POSTGRESQL_DROP),
}


def create_triggers(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Create the triggers of this migration and of the first."""
    first.create_triggers(apps, schema_editor)
    for statement in STATEMENTS[schema_editor.connection.vendor][0]:
        schema_editor.execute(statement, params=None)


def drop_triggers(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Drop the triggers of this migration."""
    for statement in STATEMENTS[schema_editor.connection.vendor][1]:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = (("recognition", "0005_loop"),)
    operations = (migrations.RunPython(create_triggers, drop_triggers),)
