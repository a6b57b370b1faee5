"""Rows as the JSON API answers them; `recognition.schemas` says what each field means."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from recognition.answers import answer_text
from recognition.models import Prediction
from recognition.verdicts import verdict_of


def stored(request: HttpRequest, prediction: Prediction, top_k: int) -> dict[str, Any]:
    """Return a stored prediction with what people said of it, as `PredictionOut`."""
    return answered(prediction, top_k) | {
        "state": prediction.state,
        "suggestion": (
            None
            if prediction.suggested_at is None
            else {"label": prediction.suggested_label or None, "at": prediction.suggested_at}
        ),
        "verdict": _verdict(prediction),
        "suggested_label": prediction.suggested_label or None,
        "reviewed_label": prediction.reviewed_label or None,
        "picture_url": request.build_absolute_uri(
            reverse("recognition:picture", args=[prediction.id])
        ),
        "url": request.build_absolute_uri(prediction.get_absolute_url()),
        "created_at": prediction.created_at,
    }


def _verdict(prediction: Prediction) -> dict[str, Any] | None:
    verdict = verdict_of(prediction)
    if verdict is None:
        return None
    return {
        "kind": verdict.kind,
        "label": verdict.label or None,
        "opinions": [
            {"label": opinion.label or None, "reviewers": opinion.reviewers}
            for opinion in verdict.opinions
        ],
        "text": verdict.text,
    }


def answered(prediction: Prediction, top_k: int) -> dict[str, Any]:
    """Return what the version said of the picture, as `AnsweredOut`."""
    return {
        "id": prediction.id,
        "recognizer": prediction.recognizer.slug,
        "version": prediction.model_version.number,
        "classes": [
            {"label": label, "probability": probability}
            for label, probability in prediction.top_classes(top_k)
        ],
        "answer": _answer(prediction),
        "prediction_set": (
            None
            if prediction.set_size is None
            else {"level": prediction.set_level, "labels": prediction.set_labels()}
        ),
        "novel": (
            None
            if prediction.novelty is None
            else {
                "score": prediction.novelty,
                "threshold": prediction.novelty_threshold,
                "is_novel": prediction.is_novel,
            }
        ),
        "duration_ms": prediction.duration_ms,
    }


def _answer(prediction: Prediction) -> dict[str, str] | None:
    if not prediction.answer:
        return None
    labels, n_classes = prediction.set_labels(), len(prediction.probabilities)
    return {
        "kind": prediction.answer,
        "text": answer_text(prediction.answer, labels, n_classes),
    }
