"""Keep what a prediction amounts to: one class, several or none, and why."""

from importlib import import_module

from django.db import migrations, models

create_triggers = import_module("recognition.migrations.0002_triggers").create_triggers


class Migration(migrations.Migration):
    dependencies = [
        ("recognition", "0003_reviewers_group"),
    ]

    operations = [
        migrations.RunPython(migrations.RunPython.noop, create_triggers),  # last when reversed
        migrations.AddField(
            model_name="prediction",
            name="answer",
            field=models.CharField(
                blank=True,
                choices=[
                    ("one", "one class"),
                    ("several", "several classes"),
                    ("none", "none of its classes"),
                ],
                db_index=True,
                default="",
                max_length=10,
                verbose_name="answer",
            ),
        ),
        migrations.AddField(
            model_name="prediction",
            name="novelty",
            field=models.FloatField(blank=True, null=True, verbose_name="novelty"),
        ),
        migrations.AddField(
            model_name="prediction",
            name="novelty_threshold",
            field=models.FloatField(
                blank=True,
                help_text="Above it the picture shows none of the classes.",
                null=True,
                verbose_name="novelty threshold",
            ),
        ),
        migrations.AddField(
            model_name="prediction",
            name="set_level",
            field=models.FloatField(
                blank=True,
                help_text="Share of pictures whose right class is in such a set.",
                null=True,
                verbose_name="level of the prediction set",
            ),
        ),
        migrations.AddField(
            model_name="prediction",
            name="set_size",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="So many of the most probable classes are in it.",
                null=True,
                verbose_name="size of the prediction set",
            ),
        ),
        migrations.AddConstraint(
            model_name="prediction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("set_level__isnull", True), ("set_size__isnull", True)),
                    models.Q(
                        ("set_level__gt", 0),
                        ("set_level__isnull", False),
                        ("set_level__lt", 1),
                        ("set_size__gte", 1),
                        ("set_size__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="prediction_set_has_level_and_size",
            ),
        ),
        migrations.AddConstraint(
            model_name="prediction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("novelty__isnull", True), ("novelty_threshold__isnull", True)),
                    models.Q(("novelty__isnull", False), ("novelty_threshold__isnull", False)),
                    _connector="OR",
                ),
                name="novelty_has_threshold",
            ),
        ),
        migrations.AddConstraint(
            model_name="prediction",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("answer", ""),
                    models.Q(
                        ("answer", "none"),
                        ("novelty__gt", models.F("novelty_threshold")),
                        ("novelty__isnull", False),
                    ),
                    models.Q(("answer", "one"), ("set_size", 1), ("set_size__isnull", False)),
                    models.Q(
                        ("answer", "several"), ("set_size__gte", 2), ("set_size__isnull", False)
                    ),
                    _connector="OR",
                ),
                name="answer_has_its_reason",
            ),
        ),
        # SQLite has rebuilt the table, and its triggers are gone with the old one.
        migrations.RunPython(create_triggers, migrations.RunPython.noop),
    ]
