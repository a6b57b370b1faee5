"""Find the open predictions of one label without a walk over all of them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("recognition", "0006_loop_triggers"),)
    operations = (
        migrations.AddIndex(
            model_name="prediction",
            index=models.Index(
                fields=["recognizer", "label", "-created_at"],
                condition=models.Q(is_open=True),
                name="queue_label",
            ),
        ),
    )
