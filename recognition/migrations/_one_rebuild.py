"""Several changes of a large table in the time of one."""

from collections.abc import Sequence
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import AddField, RunPython, SeparateDatabaseAndState
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import NOT_PROVIDED

CACHE_KIB = 262_144  # as many pages of random ids as fit are kept while the table is copied


class InOneRebuild(SeparateDatabaseAndState):
    """Operations on one model, for which SQLite copies its table once.

    SQLite cannot change a constraint or add a generated column in place: Django copies the
    table, with all indexes, for each such operation, which takes minutes where there are a
    million rows. Here columns are added first, functions are run, and one copy brings
    everything else. Other databases run the operations one by one, as does the way back.
    """

    def __init__(self, model_name: str, operations: Sequence[Operation]) -> None:
        super().__init__(database_operations=operations, state_operations=operations)
        self.model_name = model_name

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return the arguments, for those who print migrations."""
        return (
            self.__class__.__name__,
            [],
            {"model_name": self.model_name, "operations": self.database_operations},
        )

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Add columns, run functions, then copy the table once."""
        if schema_editor.connection.vendor != "sqlite":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        target = to_state.apps.get_model(app_label, self.model_name)
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("PRAGMA cache_size")
            before = cursor.fetchone()[0]
            cursor.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        state = from_state.clone()
        for operation in self.database_operations:
            operation.state_forwards(app_label, state)
            if isinstance(operation, AddField):
                self._add_column(schema_editor, target, operation.name)
            elif isinstance(operation, RunPython):
                operation.code(state.apps, schema_editor)
        schema_editor._remake_table(target)
        schema_editor.execute(f"PRAGMA cache_size = {before}")

    @staticmethod
    def _add_column(schema_editor: BaseDatabaseSchemaEditor, target: Any, name: str) -> None:
        field = target._meta.get_field(name)
        if field.generated:
            return
        has_default = field.default is not NOT_PROVIDED
        definition, _params = schema_editor.column_sql(target, field, include_default=has_default)
        table, column = map(schema_editor.quote_name, (target._meta.db_table, field.column))
        schema_editor.execute(f"ALTER TABLE {table} ADD COLUMN {column} {definition}", params=None)
