"""Prediction rows with their stored pictures, made without a classifier."""

import hashlib
import uuid
from typing import Any

from recognition.models import ModelVersion, Prediction
from tests.recognition.pictures import make_picture


def make_prediction(version: ModelVersion, **changes: Any) -> Prediction:
    """Store a red picture and the row that says how `version` saw it."""
    prediction_id = uuid.uuid4()
    picture = make_picture(size_px=(16, 12))
    fields: dict[str, Any] = {
        "id": prediction_id,
        "recognizer": version.recognizer,
        "model_version": version,
        "picture": f"pictures/{prediction_id.hex[:2]}/{prediction_id}.jpg",
        "picture_sha256": hashlib.sha256(picture).hexdigest(),
        "width_px": 16,
        "height_px": 12,
        "probabilities": [0.1, 0.2, 0.7],
        "label": "red",
        "probability": 0.7,
        "margin": 0.5,
        "activation_map": [[0, 255], [128, 0]],
        "activation_region": [0.0, 0.0, 1.0, 1.0],
        "duration_ms": 12.5,
    }
    prediction = Prediction(**(fields | changes))
    prediction.picture_path.parent.mkdir(parents=True, exist_ok=True)
    prediction.picture_path.write_bytes(picture)
    prediction.save(force_insert=True)
    return prediction
