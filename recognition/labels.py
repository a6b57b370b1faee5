"""Which labels there are, and which one of them a person means."""

import re
import unicodedata
from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import connection
from django.utils.translation import gettext as _

from recognition.models import Prediction, Recognizer

# `SELECT DISTINCT` walks over every row; each step here asks for the next larger label only.
_JUMPS = """
    WITH RECURSIVE jump(label) AS (
        SELECT MIN({column}) FROM {table}
        WHERE recognizer_id = %s AND {condition} AND {column} > ''
        UNION ALL
        SELECT (
            SELECT MIN({column}) FROM {table}
            WHERE recognizer_id = %s AND {condition} AND {column} > jump.label
        ) FROM jump WHERE jump.label IS NOT NULL
    )
    SELECT label FROM jump WHERE label IS NOT NULL
"""
# Written as the partial indexes `settled_by_label` and `queue_label` have them.
_SETTLED = "state IN ('reviewed', 'agreed')"
_OPEN = "is_open"


def reviewed_labels(recognizer: Recognizer) -> list[str]:
    """Return the labels that reviewers have settled on, in order. One SQL query."""
    return _distinct(recognizer, "reviewed_label", _SETTLED)


def waiting_labels(recognizer: Recognizer) -> list[str]:
    """Return the predicted labels of what waits for a review, in order. One SQL query."""
    return _distinct(recognizer, "label", _OPEN)


def pickable_labels(recognizer: Recognizer) -> list[str]:
    """Return every label that a version knows or a reviewer has added, in order."""
    versions = recognizer.versions.values_list("labels", flat=True)
    labels = {label for known in versions for label in known}
    return sorted(labels.union(reviewed_labels(recognizer)))


def known_label(known: Iterable[str], text: str) -> str:
    """Return the one of the known labels that `text` names, its case and its spaces aside.

    Raises:
        ValidationError: none of them is meant, or more than one.
    """
    labels = list(known)
    if text in labels:
        return text
    meant = [label for label in labels if _folded(label) == _folded(text)]
    if len(meant) != 1:
        raise ValidationError(
            _("Received “%(text)s”, which is no label here. Pick one, or add it as a new label."),
            code="unknown_label",
            params={"text": text},
        )
    return meant[0]


def refuse_lookalike(known: Iterable[str], new: str) -> None:
    """Refuse a new label that differs from a known one in case, spaces or underscores only.

    Raises:
        ValidationError: it does.
    """
    for label in known:
        if label != new and _folded(label) == _folded(new):
            raise ValidationError(
                _("Received the new label “%(new)s”, but “%(known)s” exists: pick that one."),
                code="lookalike",
                params={"new": new, "known": label},
            )


def _folded(label: str) -> str:
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", label)).strip().casefold()


def _distinct(recognizer: Recognizer, column: str, condition: str) -> list[str]:
    statement = _JUMPS.format(table=Prediction._meta.db_table, column=column, condition=condition)
    with connection.cursor() as cursor:
        cursor.execute(statement, [recognizer.pk, recognizer.pk])
        return [label for (label,) in cursor.fetchall()]
