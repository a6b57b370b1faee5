"""What the JSON API takes and answers, field by field."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from ninja import Field, Schema
from pydantic import ConfigDict

from recognition.forms import DEFAULT_TOP_K
from recognition.models import MAX_LABEL_CHARS


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


class AnsweredOut(Schema):
    """What a version said of a picture."""

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


class CreatedPredictionOut(AnsweredOut):
    """A prediction as the upload answers it."""

    owner_url: str = Field(
        description=(
            "The uploader's own link to the prediction's page. Its `key` lets whoever holds it "
            "suggest a label and delete the picture. Answered here only: keep it."
        )
    )


class SuggestionOut(Schema):
    """What the uploader says the picture shows."""

    label: str | None = Field(description="Null: none of the classes.")
    at: datetime


class OpinionOut(Schema):
    """One label that reviewers gave."""

    label: str | None = Field(description="Null: none of the classes.")
    reviewers: int = Field(ge=1, description="How many stand by it.")


class VerdictOut(Schema):
    """What the reviewers made of it."""

    kind: Literal["confirmed", "corrected", "none", "disputed"] = Field(
        description="Beside what the network predicted; `none`: it shows none of the classes."
    )
    label: str | None = Field(description="Null where it is none of the classes, or disputed.")
    opinions: list[OpinionOut] = Field(description="The most shared first.")
    text: str = Field(description="For people, in their language.")


class PredictionOut(AnsweredOut):
    """A stored prediction."""

    state: Literal["predicted", "suggested", "reviewed", "agreed", "disputed"] = Field(
        description=(
            "How far people have come with it: reviewed by one, agreed by two or more, or "
            "disputed between them."
        )
    )
    suggestion: SuggestionOut | None = Field(description="Null until the uploader says something.")
    verdict: VerdictOut | None = Field(description="Null until a reviewer has looked at it.")
    suggested_label: str | None = Field(description="As `suggestion.label`.")
    reviewed_label: str | None = Field(description="As `verdict.label`.")
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


class SuggestionIn(Schema):
    """What the uploader says the picture shows."""

    key: str = Field(max_length=200, description="The `key` of the upload's `owner_url`.")
    label: str | None = Field(
        max_length=MAX_LABEL_CHARS,
        description="One of the model version's labels; null: none of the classes.",
    )


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
