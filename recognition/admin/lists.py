"""What keeps lists of a million rows quick: nothing is counted, searched or sorted as a whole."""

from typing import Any, Final

from django.core.paginator import Paginator
from django.db.models import F, FloatField, Q, QuerySet, Value
from django.db.models.functions import Concat
from django.utils.functional import cached_property

from recognition.labels import reviewed_labels
from recognition.models import SETTLED_STATES, ModelVersion, Prediction, Recognizer

COUNTED: Final = 1_000  # rows; older ones are found by filters, not by leafing through
COMMON: Final = 1_000  # predictions of a label; fewer are collected, more are met on the way

Predictions = QuerySet[Prediction]


class CappedPaginator(Paginator[Any]):
    """Counts and pages through the first `COUNTED` rows only."""

    @cached_property
    def count(self) -> int:
        """Return the number of rows, `COUNTED` at most."""
        rows = self.object_list
        if isinstance(rows, QuerySet):
            return count_up_to(rows, COUNTED)
        return min(COUNTED, len(rows))


def count_up_to(rows: "QuerySet[Any]", most: int) -> int:
    """Return the number of rows, or `most` where there are more.

    Only the time is selected: every index of the lists has it, so that SQLite need not look
    into the table.
    """
    return rows.order_by().select_related(None).values("created_at")[:most].count()


def with_label_like(predictions: Predictions, text: str) -> Predictions:
    """Keep the predictions of the labels that contain `text`, in any case.

    A label that only reviewers gave finds what they gave it to. Labels are few, so they are
    searched first: text within text has no index.
    """
    sought = text.casefold()
    versions = ModelVersion.objects.values_list("labels", flat=True)
    known = {label for labels in versions for label in labels}
    added = {label for row in Recognizer.objects.all() for label in reviewed_labels(row)} - known
    predicted = [label for label in known if sought in label.casefold()]
    given = [label for label in added if sought in label.casefold()]
    if given and not predicted:
        return predictions.filter(
            recognizer__in=list(Recognizer.objects.values_list("pk", flat=True)),
            state__in=SETTLED_STATES,
            reviewed_label__in=given,
        )
    if len(predicted) == 1 and not given:
        return predictions.filter(label=predicted[0])
    some = count_up_to(Prediction.objects.filter(label__in=predicted), COMMON)
    if some < COMMON and not given:
        return predictions.filter(label__in=predicted)
    return on_the_way(predictions, Q(met_label__in=predicted) | Q(reviewed_label__in=given))


def on_the_way(predictions: Predictions, condition: Q) -> Predictions:
    """Filter by `met_label` or `met_margin`, which no index knows.

    Where much fits, the newest that do are soon met on the way through the newest of all. By
    the index of the label or the margin SQLite would collect all that fit, then sort them.
    """
    return predictions.alias(
        met_label=Concat("label", Value("")),
        met_margin=F("margin") + Value(0.0, output_field=FloatField()),
    ).filter(condition)
