"""Find open predictions by label, and audited ones, without a walk over the settled."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("recognition", "0006_loop_triggers"),)
    operations = (
        # Made anew: of two indexes that fit alike SQLite takes the later one, and for the queue
        # `audited_by_time` would fit too, though it holds every audited picture ever reviewed.
        migrations.RemoveIndex(model_name="prediction", name="queue_audit"),
        migrations.AddIndex(
            model_name="prediction",
            index=models.Index(
                fields=["recognizer", "-created_at"],
                condition=models.Q(is_open=True, is_audit=True),
                name="queue_audit",
            ),
        ),
        migrations.AddIndex(
            model_name="prediction",
            index=models.Index(
                fields=["recognizer", "label", "-created_at"],
                condition=models.Q(is_open=True),
                name="queue_label",
            ),
        ),
    )
