"""What the JSON API takes and answers, field by field."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from ninja import Field, Schema
from pydantic import ConfigDict

from recognition.forms import DEFAULT_TOP_K


class ClassOut(Schema):
    """One class and how probable it is."""

    label: str
    probability: float = Field(ge=0, le=1)


class AnswerOut(Schema):
    """What the prediction amounts to, before any probability."""

    kind: Literal["one", "several", "none"] = Field(
        description='How many classes it names; "none" where the picture is novel.'
    )
    text: str = Field(description='For people, such as "bees or wasp", in their language.')


class PredictionSetOut(Schema):
    """The classes to name for the right one to be among them as often as `level` says."""

    level: float = Field(gt=0, lt=1, description="Share of pictures whose right class is in it.")
    labels: list[str] = Field(description="Most probable first; at least one.")


class NoveltyOut(Schema):
    """How little the picture resembles those of training."""

    score: float = Field(description="Larger is stranger; on a scale of its own.")
    threshold: float = Field(description="A larger score is novel; 1 known picture in 20 has one.")
    is_novel: bool = Field(description="Whether it seems to show none of the classes.")


class CreatedPredictionOut(Schema):
    """A prediction as the upload answers it."""

    id: UUID
    recognizer: str = Field(description="Slug of the recognizer.")
    version: int = Field(description="Number of the model version that classified.")
    classes: list[ClassOut] = Field(description="The `top_k` most probable, best first.")
    answer: AnswerOut | None = Field(
        description="Null where the model version can promise nothing, as older ones."
    )
    prediction_set: PredictionSetOut | None = Field(
        description="Null where the model version has no thresholds for it."
    )
    novel: NoveltyOut | None = Field(description="Null where the model version cannot tell.")
    duration_ms: float = Field(description="Time taken to decode and classify.")


class PredictionOut(CreatedPredictionOut):
    """A stored prediction."""

    state: str = Field(description='"predicted", "suggested" or "reviewed".')
    suggested_label: str | None
    reviewed_label: str | None
    picture_url: str
    url: str = Field(description="The prediction's page.")
    created_at: datetime


class RecognizerOut(Schema):
    """A recognizer and what serves in it."""

    slug: str
    name: str
    description: str
    labels: list[str] = Field(description="Labels of the active version; empty without one.")
    version: int | None = Field(description="Number of the active model version.")
    url: str = Field(description="The recognizer's page.")


class ErrorDetail(Schema):
    """What went wrong, for programs and for people."""

    code: str = Field(description="Stable; see the description of each status.")
    message: str = Field(description="What was received, what is allowed, what to do.")
    request_id: str = Field(description="Also in the X-Request-ID header and the server's log.")


class ErrorOut(Schema):
    """Every error of the API."""

    error: ErrorDetail


class TopKQuery(Schema):
    """How many classes to answer."""

    model_config = ConfigDict(extra="ignore")

    top_k: int = Field(
        DEFAULT_TOP_K, ge=1, description="More than the recognizer has answers them all."
    )
