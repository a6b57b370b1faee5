from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from ml.sketch import sketch
from recognition.labels import pickable_labels, reviewed_labels, waiting_labels
from recognition.models import (
    Embedding,
    ModelVersion,
    Prediction,
    Recognizer,
    Reprediction,
    ReviewLease,
    ReviewSkip,
)
from recognition.queues import COUNTED, QUEUES, candidates, waiting
from recognition.reviewing import review_predictions
from tests.recognition.predictions import make_prediction

PREDICTED, SUGGESTED, REVIEWED, AGREED, DISPUTED = Prediction.State
NOVEL = {"answer": "none", "novelty": 2.0, "novelty_threshold": 1.0}


@pytest.fixture
def version(add_version: Callable[..., ModelVersion]) -> ModelVersion:
    return add_version()


@pytest.fixture
def rosa(db: None) -> User:
    return User.objects.create_user("rosa")


@pytest.fixture
def otto(db: None) -> User:
    return User.objects.create_user("otto")


def next_of(key: str, recognizer: Recognizer, reviewer: User, count: int = 10) -> list[Any]:
    return candidates(QUEUES[key], recognizer, reviewer, count)


def ago(minutes: int) -> Any:
    return timezone.now() - timedelta(minutes=minutes)


def test_each_queue_holds_its_own_in_its_order(
    version: ModelVersion, recognizer: Recognizer, rosa: User
) -> None:
    plain = make_prediction(version, margin=0.4, created_at=ago(9))
    audited = make_prediction(version, margin=0.3, is_audit=True, created_at=ago(8))
    novel = make_prediction(version, margin=0.5, created_at=ago(7), **NOVEL)
    early = make_prediction(
        version, margin=0.2, state=SUGGESTED, suggested_at=ago(3), created_at=ago(6)
    )
    late = make_prediction(
        version, margin=0.1, state=SUGGESTED, suggested_at=ago(1), created_at=ago(10)
    )
    disputed = make_prediction(version, state=DISPUTED, created_at=ago(2))
    make_prediction(version, state=REVIEWED, reviewed_label="red", is_audit=True, **NOVEL)

    assert next_of("uncertain", recognizer, rosa) == [
        row.pk for row in (late, early, audited, plain, novel)
    ]
    assert next_of("newest", recognizer, rosa) == [
        row.pk for row in (early, novel, audited, plain, late)
    ]
    assert next_of("suggested", recognizer, rosa) == [late.pk, early.pk]
    assert next_of("none", recognizer, rosa) == [novel.pk]
    assert next_of("audit", recognizer, rosa) == [audited.pk]
    assert next_of("disputed", recognizer, rosa) == [disputed.pk]
    assert next_of("shadow", recognizer, rosa) == []
    assert next_of("second", recognizer, rosa) == []


def test_another_recognizers_pictures_stay_out(
    version: ModelVersion, recognizer: Recognizer, rosa: User
) -> None:
    other = Recognizer.objects.create(slug="shapes", name="Shapes")
    shapes = ModelVersion.objects.create(
        recognizer=other, number=1, directory="shapes/v1", labels=["a", "b", "c"]
    )
    make_prediction(shapes, is_audit=True, state=SUGGESTED, suggested_at=ago(1), **NOVEL)
    make_prediction(shapes, state=DISPUTED)
    for key in QUEUES:
        assert next_of(key, recognizer, rosa) == []
        assert waiting(QUEUES[key], recognizer, rosa) == 0


def test_the_challengers_disagreements_wait(
    version: ModelVersion,
    add_version: Callable[..., ModelVersion],
    recognizer: Recognizer,
    rosa: User,
) -> None:
    challenger = add_version(activate=False)
    ModelVersion.objects.filter(pk=challenger.pk).update(is_challenger=True)
    retired = add_version(activate=False)
    doubted, agreed, settled, of_retired = (make_prediction(version) for _ in range(4))
    review_predictions([settled], "red", rosa)
    for row, says, agrees in (
        (doubted, challenger, False),
        (agreed, challenger, True),
        (settled, challenger, False),
        (of_retired, retired, False),
    ):
        Reprediction.objects.create(
            prediction=row,
            model_version=says,
            probabilities=[0.1, 0.8, 0.1],
            label="green",
            probability=0.8,
            is_shadow=True,
            agrees=agrees,
        )

    assert next_of("shadow", recognizer, rosa) == [doubted.pk]
    assert waiting(QUEUES["shadow"], recognizer, rosa) == 1


def test_a_second_opinion_is_asked_of_another(
    version: ModelVersion, recognizer: Recognizer, rosa: User, otto: User
) -> None:
    once, twice = make_prediction(version), make_prediction(version)
    review_predictions([once, twice], "red", rosa)
    review_predictions([twice], "red", otto)

    assert next_of("second", recognizer, rosa) == []
    assert next_of("second", recognizer, otto) == [once.pk]


def test_a_dispute_waits_for_whoever_has_not_spoken_last(
    version: ModelVersion, recognizer: Recognizer, rosa: User, otto: User
) -> None:
    card = make_prediction(version)
    review_predictions([card], "red", rosa)
    review_predictions([card], "blue", otto)

    ines = User.objects.create_user("ines")
    assert next_of("disputed", recognizer, rosa) == [card.pk]
    assert next_of("disputed", recognizer, ines) == [card.pk]
    assert next_of("disputed", recognizer, otto) == []


def test_what_others_hold_and_what_was_skipped_stays_away(
    version: ModelVersion, recognizer: Recognizer, rosa: User, otto: User
) -> None:
    held, ended, skipped, free = (make_prediction(version, created_at=ago(n)) for n in range(4))
    ReviewLease.objects.create(
        prediction=held, reviewer=otto, expires_at=timezone.now() + timedelta(minutes=1)
    )
    ReviewLease.objects.create(prediction=ended, reviewer=otto, expires_at=ago(1))
    ReviewSkip.objects.create(prediction=skipped, reviewer=rosa)

    assert next_of("newest", recognizer, rosa) == [ended.pk, free.pk]
    assert next_of("newest", recognizer, otto) == [ended.pk, skipped.pk, free.pk]


def lies_at(row: Prediction, direction: int, jitter: float = 0.0) -> None:
    vector = np.zeros(256, np.float32)
    vector[direction], vector[255] = 1, jitter
    Embedding.objects.create(prediction=row, sketch=sketch(vector))


def test_twins_do_not_fill_the_queue_of_the_least_sure(
    version: ModelVersion, recognizer: Recognizer, rosa: User
) -> None:
    twins = [make_prediction(version, margin=0.01) for _ in range(12)]
    others = [make_prediction(version, margin=0.3) for _ in range(4)]
    for number, row in enumerate(twins):
        lies_at(row, 0, number / 10_000)
    for number, row in enumerate(others, start=1):
        lies_at(row, number)

    first_five = next_of("uncertain", recognizer, rosa, 5)

    assert len(set(first_five) & {row.pk for row in twins}) == 1
    # Once one of them is reviewed, the rest come last.
    review_predictions(Prediction.objects.filter(pk=first_five[0]), "red", rosa)
    assert set(next_of("uncertain", recognizer, rosa, 4)) == {row.pk for row in others}


def test_a_long_queue_is_counted_no_further_than_people_care(
    version: ModelVersion, recognizer: Recognizer, rosa: User, django_assert_num_queries: Any
) -> None:
    rows = [make_prediction(version)]
    for number in range(COUNTED + 5):
        row = Prediction.objects.get(pk=rows[0].pk)
        row.pk, row.picture = Prediction._meta.pk.get_default(), f"pictures/{number}.jpg"
        rows.append(row)
    Prediction.objects.bulk_create(rows[1:])
    with django_assert_num_queries(1):
        assert waiting(QUEUES["newest"], recognizer, rosa) == COUNTED + 1


@pytest.mark.parametrize(
    ("key", "index"),
    [
        ("uncertain", "queue_uncertain"),
        ("newest", "queue_newest"),
        ("none", "queue_none"),
        ("audit", "queue_audit"),
        ("suggested", "queue_suggested"),
        ("disputed", "queue_disputed"),
    ],
)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's plan")
def test_a_queue_is_read_from_its_own_index(
    key: str, index: str, version: ModelVersion, recognizer: Recognizer, rosa: User
) -> None:
    plan = QUEUES[key].rows(recognizer, rosa)[:10].explain()
    assert f"USING INDEX {index}" in plan
    assert "TEMP B-TREE FOR ORDER BY" not in plan


@pytest.mark.parametrize("key", QUEUES)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="reads SQLite's plan")
def test_one_card_is_looked_up_and_not_searched_for(
    key: str,
    version: ModelVersion,
    add_version: Callable[..., ModelVersion],
    recognizer: Recognizer,
    rosa: User,
    otto: User,
) -> None:
    challenger = add_version(activate=False)
    ModelVersion.objects.filter(pk=challenger.pk).update(is_challenger=True)
    card = make_prediction(version)
    review_predictions([card], "red", otto)
    plan = QUEUES[key].rows(recognizer, rosa).filter(pk=card.pk).explain()
    by_id = "recognition_prediction USING INDEX sqlite_autoindex_recognition_prediction_1 (id=?)"
    assert by_id in plan


# Labels


def test_labels_are_told_apart_in_jumps(
    version: ModelVersion, recognizer: Recognizer, rosa: User
) -> None:
    for label in ("red", "red", "blue"):
        make_prediction(version, label=label)
    for label in ("mauve", "red", "mauve", ""):
        make_prediction(version, state=REVIEWED, reviewed_label=label)

    assert waiting_labels(recognizer) == ["blue", "red"]
    assert reviewed_labels(recognizer) == ["mauve", "red"]
    assert pickable_labels(recognizer) == ["blue", "green", "mauve", "red"]
