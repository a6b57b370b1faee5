"""A challenger: a version that sees what people upload, in the shadow of the active one.

It answers nobody. What it would have said stands beside the active version's answers, so that
a choice between the two rests on pictures of the field.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from django.db import transaction
from django.db.models import Max

from ml.significance import mcnemar_p, wilson_interval
from recognition import serving
from recognition.errors import ApplicationError
from recognition.models import (
    SETTLED_STATES,
    ModelVersion,
    Prediction,
    Recognizer,
    Reprediction,
)
from recognition.repredicting import predict_again

MOST_SEEN: Final = 200_000  # about the latest so many; more would only take longer to count
MOST_AUDITED: Final = 5000  # the latest likewise
DISAGREEMENTS_SHOWN: Final = 24

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """Both versions on the same audited pictures that reviewers have settled."""

    n: int
    champion_right: int
    challenger_right: int
    gained: int
    """Right by the challenger alone."""
    lost: int
    """Right by the champion alone."""
    p: float
    """Exact McNemar."""

    @property
    def champion_interval(self) -> Interval:
        """Wilson's, 95 %."""
        return wilson_interval(self.champion_right, self.n)

    @property
    def challenger_interval(self) -> Interval:
        """Wilson's, 95 %."""
        return wilson_interval(self.challenger_right, self.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a challenger has done so far."""

    n: int
    """Pictures that it saw beside another version, of late."""
    agreed: int
    audit: Audit

    @property
    def agreement(self) -> float | None:
        """Share of the pictures on which both say the same; None without any."""
        return self.agreed / self.n if self.n else None

    @property
    def agreement_interval(self) -> Interval:
        """Wilson's, 95 %."""
        return wilson_interval(self.agreed, self.n)


def set_challenger(version: ModelVersion) -> None:
    """Let the version predict in the shadow of the active one, instead of any other.

    It is loaded once here first: one that does not work is refused.

    Raises:
        ApplicationError: `already_active`.
        ArtifactError: the artifact is missing, altered or does not work.
    """
    serving.load_version(version)
    with transaction.atomic():
        Recognizer.objects.select_for_update().get(pk=version.recognizer_id)
        row = ModelVersion.objects.get(pk=version.pk)
        if row.is_active:
            raise ApplicationError(
                "already_active",
                f"{version} is the active version: it cannot challenge itself. Choose another.",
                HTTPStatus.CONFLICT,
            )
        others = ModelVersion.objects.filter(recognizer=version.recognizer_id, is_challenger=True)
        others.exclude(pk=version.pk).update(is_challenger=False)
        row.is_challenger = True
        row.save(update_fields=["is_challenger"])
    version.is_challenger = True


def unset_challenger(version: ModelVersion) -> bool:
    """End the challenge; return False where there was none. What it said stays."""
    challenging = ModelVersion.objects.filter(pk=version.pk, is_challenger=True)
    version.is_challenger = False
    return bool(challenging.update(is_challenger=False))


def predict_in_shadow(prediction_id: uuid.UUID) -> Reprediction | None:
    """Show one upload to its recognizer's challenger; None where there is nothing to do.

    A job, safe to repeat.

    Raises:
        ArtifactError: the challenger does not load.
    """
    rows = Prediction.objects.filter(pk=prediction_id).only(
        "id", "picture", "label", "model_version", "recognizer"
    )
    prediction = rows.select_related("recognizer").first()
    challenger = prediction.recognizer.challenger() if prediction else None
    if prediction is None or challenger is None:
        return None
    written = predict_again([prediction], challenger, is_shadow=True)
    return written[0] if written else None


def standing(challenger: ModelVersion, champion: ModelVersion | None) -> Standing:
    """Return how the challenger has done beside what people were told. Few SQL queries."""
    newest = Reprediction.objects.aggregate(newest=Max("id"))["newest"] or 0
    said = challenger.repredictions.order_by().filter(id__gt=newest - MOST_SEEN)
    # IN, for SQLite looks up no bare boolean in an index.
    agreed, disagreed = (said.filter(agrees__in=[word]).count() for word in (True, False))
    return Standing(n=agreed + disagreed, agreed=agreed, audit=_audit(challenger, champion))


def disagreements(
    challenger: ModelVersion, most: int = DISAGREEMENTS_SHOWN
) -> Sequence[Reprediction]:
    """Return the latest pictures on which the challenger says otherwise, newest first."""
    rows = challenger.repredictions.filter(agrees=False).select_related("prediction")
    return list(
        rows.defer("probabilities", "prediction__probabilities", "prediction__activation_map")[
            :most
        ]
    )


def _audit(challenger: ModelVersion, champion: ModelVersion | None) -> Audit:
    """Compare on the latest pictures that were drawn for audit and settled since."""
    audited = Prediction.objects.filter(
        recognizer=challenger.recognizer_id,
        is_audit=True,
        state__in=SETTLED_STATES,
        model_version=champion,
        repredictions__model_version=challenger,
    ).order_by("-created_at")
    pairs = audited.values_list("reviewed_label", "label", "repredictions__label")
    n = champion_right = challenger_right = gained = lost = 0
    for right, first, second in pairs[:MOST_AUDITED]:
        n += 1
        champion_right += first == right
        challenger_right += second == right
        gained += second == right != first
        lost += first == right != second
    return Audit(
        n=n,
        champion_right=champion_right,
        challenger_right=challenger_right,
        gained=gained,
        lost=lost,
        p=mcnemar_p(gained, lost),
    )
