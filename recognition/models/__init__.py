"""Rows: what Lacewing does with a model version, what it predicted, what people said of it.

What a version *is* stands in its immutable folder on disk; these rows say what is done
with it. Rules that must always hold are database constraints and triggers.
"""

from recognition.models.embeddings import Embedding
from recognition.models.predictions import (
    MAX_LABEL_CHARS,
    PROBABILITY_SUM_TOLERANCE,
    SETTLED_STATES,
    Prediction,
    PredictionQuerySet,
    validate_probabilities,
)
from recognition.models.recognizers import (
    RESERVED_SLUGS,
    Activation,
    ModelVersion,
    Recognizer,
)
from recognition.models.repredictions import Reprediction, RepredictionRun
from recognition.models.reviews import Review, ReviewLease, ReviewSkip
from recognition.models.training import (
    LOG_TAIL_CHARS,
    REVIEWED_NAME,
    ErasureReceipt,
    SnapshotItem,
    TrainingRun,
)
from recognition.models.uploads import UploadCount

__all__ = [
    "LOG_TAIL_CHARS",
    "MAX_LABEL_CHARS",
    "PROBABILITY_SUM_TOLERANCE",
    "RESERVED_SLUGS",
    "REVIEWED_NAME",
    "SETTLED_STATES",
    "Activation",
    "Embedding",
    "ErasureReceipt",
    "ModelVersion",
    "Prediction",
    "PredictionQuerySet",
    "Recognizer",
    "Reprediction",
    "RepredictionRun",
    "Review",
    "ReviewLease",
    "ReviewSkip",
    "SnapshotItem",
    "TrainingRun",
    "UploadCount",
    "validate_probabilities",
]
