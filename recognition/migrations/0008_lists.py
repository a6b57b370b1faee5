"""Indexes for the dashboard and for lists that begin with the newest of a million rows."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("recognition", "0007_queue_label"),)
    operations = (
        migrations.RemoveIndex(model_name="prediction", name="audited_by_time"),
        migrations.AddIndex(
            model_name="prediction",
            index=models.Index(
                condition=models.Q(is_audit=True),
                fields=[
                    "recognizer",
                    "created_at",
                    "model_version",
                    "state",
                    "label",
                    "reviewed_label",
                    "answer",
                    "is_audit",
                    "id",
                ],
                name="audited_answers",
            ),
        ),
        migrations.AddIndex(
            model_name="prediction",
            index=models.Index(
                fields=["recognizer", "-created_at", "answer", "margin"], name="uploads_by_time"
            ),
        ),
        migrations.AddIndex(
            model_name="prediction",
            index=models.Index(fields=["visitor_id", "-created_at"], name="newest_of_visitor"),
        ),
        migrations.AddIndex(
            model_name="prediction",
            index=models.Index(fields=["state", "-created_at", "recognizer"], name="newest_of_state"),
        ),
        migrations.AddIndex(
            model_name="prediction",
            index=models.Index(fields=["label", "-created_at", "recognizer", "margin"], name="newest_of_label"),
        ),
        migrations.AddIndex(
            model_name="prediction",
            index=models.Index(fields=["answer", "-created_at", "recognizer"], name="newest_of_answer"),
        ),
        migrations.AddIndex(
            model_name="prediction",
            index=models.Index(fields=["model_version", "-created_at"], name="newest_of_version"),
        ),
        migrations.AddIndex(
            model_name="review",
            index=models.Index(fields=["-created_at", "-id"], name="reviews_by_time"),
        ),
    )
