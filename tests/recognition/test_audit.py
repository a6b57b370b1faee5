"""Accuracy in the field is that of audited, settled uploads, by week, version and class."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from ml.drift import Share
from recognition.audit import audited_share, field_accuracy, is_below_test, week_starts
from recognition.models import ModelVersion, Prediction, Recognizer, Reprediction

NOW = datetime(2026, 5, 13, 9, 30, tzinfo=UTC)  # a Wednesday

AddVersion = Callable[..., ModelVersion]


@pytest.fixture
def version(add_version: AddVersion) -> ModelVersion:
    return add_version()


def add(version: ModelVersion, count: int, *, weeks_ago: int = 0, **changes: Any) -> None:
    """Write predictions of "red" that were audited and found right, unless `changes` differ."""
    fields: dict[str, Any] = {
        "recognizer": version.recognizer,
        "model_version": version,
        "picture_sha256": "0" * 64,
        "width_px": 16,
        "height_px": 12,
        "probabilities": [0.1, 0.2, 0.7],
        "label": "red",
        "probability": 0.7,
        "margin": 0.5,
        "duration_ms": 12.5,
        "state": Prediction.State.REVIEWED,
        "reviewed_label": "red",
        "is_audit": True,
        "created_at": NOW - timedelta(weeks=weeks_ago, days=1),
    }
    Prediction.objects.bulk_create(
        Prediction(**(fields | {"picture": f"pictures/{uuid.uuid4()}.jpg"} | changes))
        for _number in range(count)
    )


def test_weeks_begin_on_monday_in_utc_and_end_with_the_one_under_way() -> None:
    late_on_sunday = datetime(2026, 5, 17, 23, 59, tzinfo=UTC)
    assert week_starts(2, NOW) == week_starts(2, late_on_sunday)
    assert week_starts(2, NOW)[-1] == datetime(2026, 5, 11, tzinfo=UTC)
    assert week_starts(2, NOW)[0] == datetime(2026, 5, 4, tzinfo=UTC)


def test_only_audited_and_settled_predictions_of_the_recognizer_count(
    version: ModelVersion, served: Recognizer
) -> None:
    add(version, 3)
    add(version, 2, state=Prediction.State.AGREED, reviewed_label="blue")
    add(version, 5, is_audit=False)
    add(version, 5, state=Prediction.State.PREDICTED, reviewed_label="")
    add(version, 5, state=Prediction.State.DISPUTED, reviewed_label="")
    add(version, 5, recognizer=Recognizer.objects.create(slug="other", name="Other"))
    add(version, 5, weeks_ago=26)

    found = field_accuracy(version.recognizer, now=NOW)

    assert found.total == Share(3, 5)
    assert found.total.accuracy == 0.6
    assert found.weeks[-1].share == Share(3, 5)
    assert len(found.weeks) == 26
    assert {week.share for week in found.weeks[:-1]} == {Share(0, 0)}


def test_each_week_names_the_versions_that_answered(
    version: ModelVersion, add_version: AddVersion
) -> None:
    second = add_version()
    add(version, 4, weeks_ago=1)
    add(second, 1, weeks_ago=1)
    add(second, 2)

    found = field_accuracy(version.recognizer, now=NOW)

    assert [week.versions for week in found.weeks[-3:]] == [(), (1, 2), (2,)]
    assert [week.share.n for week in found.weeks[-3:]] == [0, 5, 2]
    assert [(one.version.number, one.share.n) for one in found.versions] == [(2, 3), (1, 4)]


def test_one_version_can_be_asked_for(version: ModelVersion, add_version: AddVersion) -> None:
    second = add_version()
    add(version, 4)
    add(second, 1)
    assert field_accuracy(version.recognizer, version=second, now=NOW).total == Share(1, 1)


def test_classes_are_those_that_reviewers_named_the_least_accurate_first(
    version: ModelVersion,
) -> None:
    add(version, 8)
    add(version, 2, reviewed_label="blue")
    add(version, 1, reviewed_label="blue", label="blue")
    add(version, 1, reviewed_label="mauve")

    found = field_accuracy(version.recognizer, now=NOW)

    assert [(one.label, one.share) for one in found.classes] == [
        ("mauve", Share(0, 1)),
        ("blue", Share(1, 3)),
        ("red", Share(8, 8)),
    ]


def test_none_of_the_classes_is_right_only_where_the_answer_said_so(version: ModelVersion) -> None:
    add(version, 2, reviewed_label="")
    add(version, 1, reviewed_label="", answer="none", novelty=2.0, novelty_threshold=1.0)
    add(version, 1)

    found = field_accuracy(version.recognizer, now=NOW)

    assert found.total == Share(2, 4)
    assert [one.share for one in found.classes if one.label == ""] == [Share(1, 3)]
    assert found.versions[0].known == Share(1, 1)


def test_a_fall_beyond_chance_is_an_alarm(version: ModelVersion) -> None:
    for weeks_ago in range(1, 9):
        add(version, 30, weeks_ago=weeks_ago)
        add(version, 3, weeks_ago=weeks_ago, reviewed_label="blue")
    assert not field_accuracy(version.recognizer, now=NOW).is_alarming

    add(version, 15)
    add(version, 20, reviewed_label="blue")
    found = field_accuracy(version.recognizer, now=NOW)

    assert found.has_fallen
    assert found.is_alarming
    assert (found.change.recent, found.change.before) == (Share(15, 35), Share(240, 264))


def test_the_active_version_below_its_test_is_an_alarm(version: ModelVersion) -> None:
    add(version, 12)
    add(version, 12, reviewed_label="blue")  # 50 %, the test promised 74 % at least

    found = field_accuracy(version.recognizer, now=NOW)

    assert not found.has_fallen
    assert found.below_test == found.versions[0]
    assert found.is_alarming


def test_pictures_of_none_of_the_classes_are_not_held_against_the_test(
    version: ModelVersion,
) -> None:
    add(version, 25)
    add(version, 100, reviewed_label="")
    assert field_accuracy(version.recognizer, now=NOW).below_test is None


def test_a_version_that_serves_no_more_raises_no_alarm(
    version: ModelVersion, add_version: AddVersion
) -> None:
    add(version, 30, reviewed_label="blue")
    add_version()
    found = field_accuracy(version.recognizer, now=NOW)
    assert found.versions[0].is_below_test
    assert found.below_test is None


@pytest.mark.parametrize("metrics", [{}, {"accuracy": 0.9}])
def test_a_version_without_a_test_is_not_below_it(metrics: dict[str, Any]) -> None:
    assert not is_below_test(ModelVersion(metrics=metrics), Share(0, 50))


def test_too_few_pictures_are_not_below_the_test() -> None:
    version = ModelVersion(metrics={"accuracy_interval": [0.9, 0.95]})
    assert not is_below_test(version, Share(0, 19))
    assert is_below_test(version, Share(0, 20))


def test_a_challenger_is_judged_by_what_it_said_beside_the_active_version(
    version: ModelVersion, add_version: AddVersion
) -> None:
    challenger = add_version(activate=False)
    now = timezone.now()
    add(version, 2, created_at=now, reviewed_label="blue")
    add(version, 1, created_at=now)
    add(version, 1, created_at=now, is_audit=False, reviewed_label="blue")
    add(version, 1, created_at=now, state=Prediction.State.PREDICTED, reviewed_label="")
    for prediction in Prediction.objects.all():
        Reprediction.objects.create(
            prediction=prediction,
            model_version=challenger,
            probabilities=[0.9, 0.05, 0.05],
            label="blue",
            probability=0.9,
            is_shadow=True,
            agrees=False,
        )

    assert audited_share(challenger) == Share(2, 3)
    assert audited_share(version) == Share(1, 3)


def test_nothing_audited_says_so(served: Recognizer) -> None:
    found = field_accuracy(served, now=NOW)
    assert found.total.accuracy is None
    assert found.change.direction == "unknown"
    assert (found.classes, found.versions, found.is_alarming) == ((), (), False)


@pytest.mark.django_db
def test_two_queries_whatever_was_audited(
    version: ModelVersion, django_assert_num_queries: Any
) -> None:
    add(version, 30)
    add(version, 30, weeks_ago=3, reviewed_label="blue")
    with django_assert_num_queries(2):
        field_accuracy(version.recognizer, now=NOW)
