"""Make the group "trainers": it reviews, trains, activates and rolls back, without a terminal.

It neither deletes pictures nor changes people; those stay with administrators.
"""

import importlib

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

reviewers = importlib.import_module("recognition.migrations.0003_reviewers_group")

GROUP = "trainers"
RIGHTS = {
    "recognizer": {
        "view_recognizer": "Can view recognizer",
        "change_recognizer": "Can change recognizer",
        "retrain_recognizer": "Can train new versions of recognizers",
    },
    "modelversion": {
        "view_modelversion": "Can view model version",
        "activate_modelversion": "Can activate and roll back model versions",
    },
    "activation": {"view_activation": "Can view activation"},
    "trainingrun": {"view_trainingrun": "Can view training run"},
    "prediction": {
        "view_prediction": "Can view prediction",
        "review_prediction": "Can review predictions",
    },
    "review": {"view_review": "Can view review"},
}


def create_group(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Create the group with its rights; see the migration of the reviewers."""
    reviewers.give_rights(apps, schema_editor, GROUP, RIGHTS)


class Migration(migrations.Migration):
    dependencies = (("recognition", "0009_reprediction_runs"),)
    operations = (migrations.RunPython(create_group, migrations.RunPython.noop, elidable=False),)
