"""Predicting old pictures anew, as rows that say how far it has come."""

import django.db.models.deletion
import django.utils.timezone
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("recognition", "0008_lists"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="RepredictionRun",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("running", "running"),
                            ("done", "done"),
                            ("cancelled", "cancelled"),
                            ("failed", "failed"),
                        ],
                        default="running",
                        max_length=10,
                        verbose_name="state",
                    ),
                ),
                (
                    "pictures",
                    models.PositiveIntegerField(
                        blank=True,
                        help_text="Empty until it has begun.",
                        null=True,
                        verbose_name="pictures in all",
                    ),
                ),
                ("seen", models.PositiveIntegerField(default=0, verbose_name="pictures looked at")),
                (
                    "changed",
                    models.PositiveIntegerField(
                        default=0, verbose_name="other answers than before"
                    ),
                ),
                (
                    "unreadable",
                    models.PositiveIntegerField(
                        default=0, verbose_name="pictures that could not be read"
                    ),
                ),
                (
                    "stands_at",
                    models.DateTimeField(
                        help_text="Pictures from this time back are still to see.",
                        verbose_name="has come to pictures of",
                    ),
                ),
                (
                    "stands_after",
                    models.UUIDField(
                        blank=True,
                        editable=False,
                        null=True,
                        verbose_name="last picture of that time",
                    ),
                ),
                ("error", models.TextField(blank=True, default="", verbose_name="why it failed")),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="asked at"
                    ),
                ),
                (
                    "moved_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="last moved at"
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="person",
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reprediction_runs",
                        to="recognition.modelversion",
                        verbose_name="model version",
                    ),
                ),
            ],
            options={
                "verbose_name": "pass over old pictures",
                "verbose_name_plural": "passes over old pictures",
                "ordering": ("-created_at",),
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "running")),
                        fields=("version",),
                        name="one_pass_at_a_time",
                    )
                ],
            },
        ),
    ]
