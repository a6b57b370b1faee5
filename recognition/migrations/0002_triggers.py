"""Rules that a portable CHECK cannot say, as triggers of SQLite and PostgreSQL.

- A review is never edited: every UPDATE of a row is refused.
- Probabilities are a non-empty array of numbers in [0, 1] that sum to 1 ± 0.001.

SQLite drops a table's triggers when Django rebuilds the table to alter it: a later migration
that alters `Review` or `Prediction` must end with `RunPython(create_triggers)` again.
"""

from django.db import NotSupportedError, migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

REVIEW_MESSAGE = "a review is never edited: write a newer one"
PROBABILITIES_MESSAGE = "probabilities must lie in [0, 1] and sum to 1"

SQLITE_BAD_PROBABILITIES = """
    json_type(NEW.probabilities) IS NOT 'array'
    OR json_array_length(NEW.probabilities) = 0
    OR EXISTS (
        SELECT 1 FROM json_each(NEW.probabilities)
        WHERE type NOT IN ('real', 'integer') OR value NOT BETWEEN 0 AND 1
    )
    OR abs((SELECT total(value) FROM json_each(NEW.probabilities)) - 1) > 0.0010000001
"""

SQLITE_CREATE = (
    f"""
    CREATE TRIGGER IF NOT EXISTS review_is_append_only
    BEFORE UPDATE ON recognition_review
    BEGIN SELECT RAISE(ABORT, '{REVIEW_MESSAGE}'); END
    """,
    f"""
    CREATE TRIGGER IF NOT EXISTS probabilities_are_valid_on_insert
    BEFORE INSERT ON recognition_prediction
    WHEN {SQLITE_BAD_PROBABILITIES}
    BEGIN SELECT RAISE(ABORT, '{PROBABILITIES_MESSAGE}'); END
    """,
    f"""
    CREATE TRIGGER IF NOT EXISTS probabilities_are_valid_on_update
    BEFORE UPDATE OF probabilities ON recognition_prediction
    WHEN {SQLITE_BAD_PROBABILITIES}
    BEGIN SELECT RAISE(ABORT, '{PROBABILITIES_MESSAGE}'); END
    """,
)
SQLITE_DROP = (
    "DROP TRIGGER IF EXISTS review_is_append_only",
    "DROP TRIGGER IF EXISTS probabilities_are_valid_on_insert",
    "DROP TRIGGER IF EXISTS probabilities_are_valid_on_update",
)

POSTGRESQL_CREATE = (
    f"""
    CREATE OR REPLACE FUNCTION recognition_refuse_review_update() RETURNS trigger
    LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '{REVIEW_MESSAGE}' USING ERRCODE = 'check_violation';
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER review_is_append_only
    BEFORE UPDATE ON recognition_review
    FOR EACH ROW EXECUTE FUNCTION recognition_refuse_review_update()
    """,
    f"""
    CREATE OR REPLACE FUNCTION recognition_check_probabilities() RETURNS trigger
    LANGUAGE plpgsql AS $$
    DECLARE
        item jsonb;
        total double precision := 0;
    BEGIN
        IF jsonb_typeof(NEW.probabilities) IS DISTINCT FROM 'array'
            OR jsonb_array_length(NEW.probabilities) = 0
        THEN
            RAISE EXCEPTION '{PROBABILITIES_MESSAGE}' USING ERRCODE = 'check_violation';
        END IF;
        FOR item IN SELECT jsonb_array_elements(NEW.probabilities) LOOP
            IF jsonb_typeof(item) <> 'number'
                OR item::double precision NOT BETWEEN 0 AND 1
            THEN
                RAISE EXCEPTION '{PROBABILITIES_MESSAGE}' USING ERRCODE = 'check_violation';
            END IF;
            total := total + item::double precision;
        END LOOP;
        IF abs(total - 1) > 0.0010000001 THEN
            RAISE EXCEPTION '{PROBABILITIES_MESSAGE}' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE OR REPLACE TRIGGER probabilities_are_valid
    BEFORE INSERT OR UPDATE OF probabilities ON recognition_prediction
    FOR EACH ROW EXECUTE FUNCTION recognition_check_probabilities()
    """,
)
POSTGRESQL_DROP = (
    "DROP TRIGGER IF EXISTS review_is_append_only ON recognition_review",
    "DROP TRIGGER IF EXISTS probabilities_are_valid ON recognition_prediction",
    "DROP FUNCTION IF EXISTS recognition_refuse_review_update()",
    "DROP FUNCTION IF EXISTS recognition_check_probabilities()",
)

STATEMENTS = {
    "sqlite": (SQLITE_CREATE, SQLITE_DROP),
    "postgresql": (POSTGRESQL_CREATE, POSTGRESQL_DROP),
}


def _statements(schema_editor: BaseDatabaseSchemaEditor) -> tuple[tuple[str, ...], ...]:
    vendor = schema_editor.connection.vendor
    if vendor not in STATEMENTS:
        raise NotSupportedError(
            f"Lacewing keeps its rules in triggers of SQLite and PostgreSQL; received {vendor}."
        )
    return STATEMENTS[vendor]


def create_triggers(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Create the triggers of this database's vendor."""
    for statement in _statements(schema_editor)[0]:
        schema_editor.execute(statement, params=None)


def drop_triggers(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Drop what `create_triggers` made."""
    for statement in _statements(schema_editor)[1]:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = (("recognition", "0001_initial"),)
    operations = (migrations.RunPython(create_triggers, drop_triggers),)
