import threading
import uuid
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from django.utils import timezone

from recognition import hands
from recognition.models import ModelVersion, Prediction, Recognizer, Review, ReviewLease, ReviewSkip
from recognition.queues import QUEUES
from recognition.reviewing import review_predictions
from tests.recognition.predictions import make_prediction

PREDICTED, SUGGESTED, REVIEWED, AGREED, DISPUTED = Prediction.State
NEWEST = QUEUES["newest"]


@pytest.fixture
def version(add_version: Callable[..., ModelVersion]) -> ModelVersion:
    return add_version()


@pytest.fixture
def rosa(db: None) -> User:
    return User.objects.create_user("rosa")


@pytest.fixture
def otto(db: None) -> User:
    return User.objects.create_user("otto")


@pytest.fixture
def cards(version: ModelVersion) -> list[Prediction]:
    """Return five cards, the first of the queue first."""
    now = timezone.now()
    return [make_prediction(version, created_at=now - timedelta(minutes=n)) for n in range(5)]


def deal(recognizer: Recognizer, reviewer: User, **more: Any) -> list[uuid.UUID]:
    return [card.pk for card in hands.deal(NEWEST, recognizer, reviewer, **more)]


def decide(card: Prediction, label: str, recognizer: Recognizer, reviewer: User) -> bool:
    return hands.decide(card.pk, label, NEWEST, recognizer, reviewer)


def end_leases() -> None:
    ReviewLease.objects.update(expires_at=timezone.now() - timedelta(seconds=1))


def test_two_reviewers_hold_different_cards(
    recognizer: Recognizer, cards: list[Prediction], rosa: User, otto: User
) -> None:
    assert deal(recognizer, rosa) == [cards[0].pk, cards[1].pk]
    assert deal(recognizer, otto) == [cards[2].pk, cards[3].pk]


def test_a_reviewer_gets_their_own_cards_back_in_order(
    recognizer: Recognizer, cards: list[Prediction], rosa: User, version: ModelVersion
) -> None:
    held = deal(recognizer, rosa)
    make_prediction(version, created_at=timezone.now() + timedelta(minutes=1))
    assert deal(recognizer, rosa) == held


def test_after_a_decision_the_next_card_moves_up(
    recognizer: Recognizer, cards: list[Prediction], rosa: User
) -> None:
    deal(recognizer, rosa)
    assert decide(cards[0], "blue", recognizer, rosa)

    assert deal(recognizer, rosa) == [cards[1].pk, cards[2].pk]
    cards[0].refresh_from_db()
    assert (cards[0].state, cards[0].reviewed_label) == (REVIEWED, "blue")


def test_a_lease_that_ended_is_anybodys(
    recognizer: Recognizer, cards: list[Prediction], rosa: User, otto: User
) -> None:
    deal(recognizer, rosa)
    end_leases()
    assert deal(recognizer, otto) == [cards[0].pk, cards[1].pk]
    assert deal(recognizer, rosa) == [cards[2].pk, cards[3].pk]


def test_a_word_on_a_card_that_another_took_is_not_kept(
    recognizer: Recognizer, cards: list[Prediction], rosa: User, otto: User
) -> None:
    deal(recognizer, rosa)
    end_leases()
    deal(recognizer, otto)

    assert not decide(cards[0], "blue", recognizer, rosa)
    assert not Review.objects.exists()
    assert decide(cards[0], "red", recognizer, otto)


def test_a_word_after_the_lease_counts_while_nobody_else_has_the_card(
    recognizer: Recognizer, cards: list[Prediction], rosa: User, otto: User
) -> None:
    deal(recognizer, rosa)
    end_leases()
    assert decide(cards[0], "blue", recognizer, rosa)
    assert not decide(cards[0], "red", recognizer, otto)


def test_renewing_keeps_what_is_held_and_takes_nothing(
    recognizer: Recognizer, cards: list[Prediction], rosa: User, otto: User
) -> None:
    deal(recognizer, rosa)
    soon = timezone.now() + timedelta(seconds=5)
    ReviewLease.objects.update(expires_at=soon)

    hands.renew([cards[1].pk, cards[0].pk], rosa)
    hands.renew([cards[0].pk, cards[2].pk], otto)

    leases = list(ReviewLease.objects.order_by("expires_at"))
    assert [lease.prediction_id for lease in leases] == [cards[1].pk, cards[0].pk]
    assert {lease.reviewer for lease in leases} == {rosa}
    assert all(lease.expires_at > soon for lease in leases)


def test_a_skipped_card_is_left_to_others(
    recognizer: Recognizer, cards: list[Prediction], rosa: User, otto: User
) -> None:
    deal(recognizer, rosa)
    hands.skip(cards[0].pk, rosa)

    assert deal(recognizer, rosa) == [cards[1].pk, cards[2].pk]
    assert deal(recognizer, otto) == [cards[0].pk, cards[3].pk]


def test_undoing_goes_back_step_by_step_through_reviews_and_skips(
    recognizer: Recognizer, cards: list[Prediction], rosa: User
) -> None:
    decide(cards[0], "blue", recognizer, rosa)
    hands.skip(cards[1].pk, rosa)
    ReviewSkip.objects.update(created_at=timezone.now() + timedelta(seconds=1))

    assert hands.undo(recognizer, rosa) == cards[1].pk
    assert not ReviewSkip.objects.exists()
    assert hands.undo(recognizer, rosa) == cards[0].pk
    cards[0].refresh_from_db()
    assert cards[0].state == PREDICTED
    assert hands.undo(recognizer, rosa) is None


def test_a_corrected_word_is_undone_before_the_one_before(
    recognizer: Recognizer, cards: list[Prediction], rosa: User
) -> None:
    decide(cards[0], "blue", recognizer, rosa)
    decide(cards[1], "blue", recognizer, rosa)
    assert hands.undo(recognizer, rosa) == cards[1].pk
    decide(cards[1], "red", recognizer, rosa)
    assert hands.undo(recognizer, rosa) == cards[1].pk
    assert hands.undo(recognizer, rosa) == cards[0].pk


def test_nobody_undoes_what_another_did(
    recognizer: Recognizer, cards: list[Prediction], rosa: User, otto: User
) -> None:
    decide(cards[0], "blue", recognizer, rosa)
    assert hands.undo(recognizer, otto) is None


def test_an_undone_card_comes_first_whatever_the_queue(
    recognizer: Recognizer, cards: list[Prediction], rosa: User
) -> None:
    deal(recognizer, rosa)
    Prediction.objects.filter(pk=cards[4].pk).update(state=DISPUTED)
    assert deal(recognizer, rosa, first=cards[4].pk) == [cards[4].pk, cards[0].pk]
    assert decide(cards[4], "red", recognizer, rosa)


def test_after_an_undone_card_the_others_come_in_the_order_they_had(
    recognizer: Recognizer, cards: list[Prediction], rosa: User
) -> None:
    deal(recognizer, rosa)
    decide(cards[0], "blue", recognizer, rosa)
    assert deal(recognizer, rosa) == [cards[1].pk, cards[2].pk]
    undone = hands.undo(recognizer, rosa)
    assert deal(recognizer, rosa, first=undone) == [cards[0].pk, cards[1].pk]
    assert ReviewLease.objects.count() == hands.HAND_CARDS
    decide(cards[0], "red", recognizer, rosa)
    assert deal(recognizer, rosa) == [cards[1].pk, cards[2].pk]


def test_a_card_that_another_holds_is_not_dealt_first(
    recognizer: Recognizer, cards: list[Prediction], rosa: User, otto: User
) -> None:
    deal(recognizer, otto)
    assert deal(recognizer, rosa, first=cards[0].pk) == [cards[2].pk, cards[3].pk]
    assert deal(recognizer, rosa, first=uuid.uuid4()) == [cards[2].pk, cards[3].pk]


# Pages of many


def test_a_page_is_held_apart_from_the_hand(
    recognizer: Recognizer, cards: list[Prediction], rosa: User, otto: User
) -> None:
    ids = [card.pk for card in cards[:3]]
    deal(recognizer, otto)

    assert hands.hold_page(ids, rosa) == {cards[2].pk}
    assert deal(recognizer, rosa) == [cards[3].pk, cards[4].pk]


def test_the_next_page_puts_the_last_one_back(
    recognizer: Recognizer, cards: list[Prediction], rosa: User, otto: User
) -> None:
    hands.hold_page([cards[0].pk, cards[1].pk], rosa)
    hands.hold_page([cards[2].pk], rosa)
    assert deal(recognizer, otto) == [cards[0].pk, cards[1].pk]


def test_one_word_is_written_on_many_that_are_free(
    recognizer: Recognizer, cards: list[Prediction], rosa: User, otto: User
) -> None:
    deal(recognizer, otto)
    review_predictions([cards[4]], "red", otto)
    ids = [card.pk for card in cards]

    assert hands.decide_page(ids, None, recognizer, rosa) == 2
    assert set(Prediction.objects.filter(state=REVIEWED)) == {cards[2], cards[3], cards[4]}
    assert Review.objects.filter(reviewer=rosa).count() == 2


# At once


def run_at_once(works: list[Callable[[], None]], file: Path) -> None:
    """Copy the test's rows into a file, as sites have them, and run each work on a connection.

    The test's own database lies in memory, where a second writer is refused and does not wait.
    """
    with connection.cursor() as cursor:
        cursor.execute("VACUUM INTO %s", [str(file)])
    start = threading.Barrier(len(works))

    def run(work: Callable[[], None]) -> None:
        try:
            start.wait()
            work()
        finally:
            connection.close()

    settings: dict[str, Any] = connections.settings["default"]
    in_memory = settings["NAME"]
    settings["NAME"] = str(file)
    try:
        with ThreadPoolExecutor(len(works)) as pool:
            list(pool.map(run, works))
    finally:
        settings["NAME"] = in_memory


@pytest.mark.skipif(connection.vendor != "sqlite", reason="copies SQLite's file")
@pytest.mark.django_db(transaction=True)
def test_reviewers_who_reach_out_at_once_never_get_the_same_card(
    add_version: Callable[..., ModelVersion], recognizer: Recognizer, tmp_path: Path
) -> None:
    version = add_version()
    people = [User.objects.create_user(f"person {number}") for number in range(4)]
    for _ in range(40):
        make_prediction(version)
    holders: dict[uuid.UUID, set[int]] = defaultdict(set)
    decided: list[uuid.UUID] = []

    def work(person: User) -> None:
        while hand := hands.deal(NEWEST, recognizer, person):
            for card in hand:
                holders[card.pk].add(person.pk)
            if hands.decide(hand[0].pk, "red", NEWEST, recognizer, person):
                decided.append(hand[0].pk)

    run_at_once([partial(work, person) for person in people], tmp_path / "db.sqlite3")

    assert len(decided) == len(set(decided)) == 40
    assert all(len(who) == 1 for who in holders.values())
