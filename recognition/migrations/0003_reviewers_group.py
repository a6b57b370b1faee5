"""Make the group "reviewers": it may look and review, and neither activate nor delete."""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

GROUP = "reviewers"
RIGHTS = {
    "recognizer": {"view_recognizer": "Can view recognizer"},
    "modelversion": {"view_modelversion": "Can view model version"},
    "prediction": {
        "view_prediction": "Can view prediction",
        "review_prediction": "Can review predictions",
    },
    "review": {"view_review": "Can view review"},
}


def give_rights(
    apps: StateApps,
    schema_editor: BaseDatabaseSchemaEditor,
    name: str,
    rights: dict[str, dict[str, str]],
) -> None:
    """Create a group with its rights: for each table, codenames and their names.

    Django writes permission rows only after the last migration, so a fresh database does
    not hold them yet: they are made here, and Django later finds them.
    """
    using = schema_editor.connection.alias
    content_types = apps.get_model("contenttypes", "ContentType").objects.using(using)
    permissions = apps.get_model("auth", "Permission").objects.using(using)
    group, _created = apps.get_model("auth", "Group").objects.using(using).get_or_create(name=name)
    for table, codenames in rights.items():
        content_type, _created = content_types.get_or_create(app_label="recognition", model=table)
        for codename, title in codenames.items():
            permission, _created = permissions.get_or_create(
                content_type=content_type, codename=codename, defaults={"name": title}
            )
            group.permissions.add(permission)


def create_group(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Create the group of the reviewers."""
    give_rights(apps, schema_editor, GROUP, RIGHTS)


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("recognition", "0002_triggers"),
    ]

    operations = [migrations.RunPython(create_group, migrations.RunPython.noop, elidable=False)]
