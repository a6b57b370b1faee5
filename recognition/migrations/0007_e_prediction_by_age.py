"""An index by recognizer and age, so that uploads past their time are found among a million."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("recognition", "0006_loop_triggers"),)
    operations = (
        migrations.AddIndex(
            model_name="prediction",
            index=models.Index(fields=["recognizer", "created_at"], name="prediction_by_age"),
        ),
    )
