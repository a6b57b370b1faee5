import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from recognition import hands
from recognition.admin import grid_pages
from recognition.models import ModelVersion, Prediction, Review, ReviewLease, ReviewSkip
from recognition.queues import QUEUES
from recognition.reviewing import review_predictions
from tests.recognition.predictions import make_prediction

PREDICTED, SUGGESTED, REVIEWED, AGREED, DISPUTED = Prediction.State
SCRIPTED = {"X-Lacewing-Card": "1"}
QUEUES_URL = "/admin/recognition/prediction/queues/"
GRID_URL = f"{QUEUES_URL}grid/?recognizer=colors"


def card_url(queue: str = "newest", **more: Any) -> str:
    query = "".join(f"&{key}={value}" for key, value in more.items())
    return f"/admin/recognition/prediction/review/?recognizer=colors&queue={queue}{query}"


@pytest.fixture
def version(add_version: Callable[..., ModelVersion]) -> ModelVersion:
    return add_version()


@pytest.fixture
def rosa(db: None) -> User:
    user = User.objects.create_user("rosa", is_staff=True)
    user.groups.add(Group.objects.get(name="reviewers"))
    return user


@pytest.fixture
def otto(db: None) -> User:
    return User.objects.create_user("otto")


@pytest.fixture
def desk(client: Client, rosa: User) -> Client:
    client.force_login(rosa)
    return client


@pytest.fixture
def cards(version: ModelVersion) -> list[Prediction]:
    """Return three cards, the first of the queue first."""
    now = timezone.now()
    return [make_prediction(version, created_at=now - timedelta(minutes=n)) for n in range(3)]


def shown(response: Any) -> Prediction | None:
    card = response.context["card"]
    return card.prediction if card else None


def post(client: Client, card: Prediction | None, queue: str = "newest", **fields: str) -> Any:
    data = fields | ({"card": str(card.pk)} if card else {})
    return client.post(card_url(queue), data, headers=SCRIPTED)


# Which queues there are


def test_the_queues_of_a_recognizer_are_listed_with_what_waits(
    desk: Client, cards: list[Prediction]
) -> None:
    page = desk.get(QUEUES_URL)

    [(recognizer, rows)] = page.context["desks"]
    assert recognizer.slug == "colors"
    counts = {queue.key: shown for queue, _count, shown, _url in rows}
    assert counts["newest"] == counts["uncertain"] == "3"
    assert counts["audit"] == "0"
    assert f'href="{card_url("newest").replace("&", "&amp;")}"' in page.content.decode()
    assert not desk.get(f"{QUEUES_URL}?recognizer=shapes").context["desks"]


def test_the_sidebar_leads_to_the_queues(desk: Client, version: ModelVersion) -> None:
    assert f'href="{QUEUES_URL}"' in desk.get("/admin/").content.decode()


@pytest.mark.parametrize("url", [QUEUES_URL, GRID_URL, card_url()])
def test_who_may_not_review_sees_no_queue(
    url: str, client: Client, cards: list[Prediction]
) -> None:
    user = User.objects.create_user("ines", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_prediction"))
    client.force_login(user)

    assert client.get(url).status_code == 403
    assert client.post(url, {"card": cards[0].pk, "label": "red"}).status_code in {403, 405}
    assert not Review.objects.exists()
    assert not ReviewLease.objects.exists()


@pytest.mark.parametrize(
    "url", [card_url("unheard"), card_url().replace("colors", "shapes"), GRID_URL + "x"]
)
def test_a_queue_that_is_not_there_is_not_found(url: str, desk: Client) -> None:
    assert desk.get(url).status_code == 404


# The card


def test_the_card_offers_its_classes_by_probability_with_keys(
    desk: Client, cards: list[Prediction]
) -> None:
    page = desk.get(card_url())

    assert shown(page) == cards[0]
    choices = page.context["card"].choices
    assert [(c.key, c.label, c.is_accepted) for c in choices] == [
        ("1", "red", True),
        ("2", "green", False),
        ("3", "blue", False),
    ]
    content = page.content.decode()
    assert 'aria-keyshortcuts="1 Enter"' in content
    assert reverse("recognition:picture", args=[cards[1].pk]) in content  # loads meanwhile
    assert page.context["left"] == "3"
    assert page.context["done_today"] == "0"


def test_a_decision_leads_to_the_next_card_alone(
    desk: Client, rosa: User, cards: list[Prediction]
) -> None:
    desk.get(card_url())
    page = post(desk, cards[0], label="green")

    assert shown(page) == cards[1]
    assert 'data-said="Saved: green."' in page.content.decode()
    assert "<html" not in page.content.decode()
    cards[0].refresh_from_db()
    assert (cards[0].state, cards[0].reviewed_label) == (REVIEWED, "green")
    assert Review.objects.get().reviewer == rosa
    assert (page.context["done_today"], page.context["left"]) == ("1", "2")


def test_without_scripts_a_decision_redirects_to_the_queue(
    desk: Client, cards: list[Prediction]
) -> None:
    response = desk.post(card_url(), {"card": cards[0].pk, "none": "1"})
    assert (response.status_code, response["Location"]) == (303, card_url())

    page = desk.get(card_url())
    assert shown(page) == cards[1]
    assert "Saved: none of the classes." in page.content.decode()
    cards[0].refresh_from_db()
    assert (cards[0].state, cards[0].reviewed_label) == (REVIEWED, "")


def test_undo_shows_the_card_again(desk: Client, cards: list[Prediction]) -> None:
    desk.get(card_url())
    post(desk, cards[0], label="green")
    page = post(desk, cards[1], undo="1")

    assert shown(page) == cards[0]
    assert page.context["next"] == cards[1]
    assert page.context["done_today"] == "0"
    cards[0].refresh_from_db()
    assert cards[0].state == PREDICTED

    post(desk, cards[0], label="blue")
    response = desk.post(card_url(), {"card": cards[1].pk, "undo": "1"})
    assert response["Location"] == card_url(card=cards[0].pk)
    assert shown(desk.get(response["Location"])) == cards[0]


def test_with_nothing_to_undo_the_card_stays(desk: Client, cards: list[Prediction]) -> None:
    desk.get(card_url())
    page = post(desk, cards[0], undo="1")
    assert shown(page) == cards[0]
    assert page.context["told"].is_refusal


def test_a_skipped_card_makes_room_for_the_next(desk: Client, cards: list[Prediction]) -> None:
    desk.get(card_url())
    assert shown(post(desk, cards[0], skip="1")) == cards[1]
    assert ReviewSkip.objects.get().prediction == cards[0]


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"label": "Green"}, "green"),
        ({"label": " blue "}, "blue"),
        ({"new_label": "light mauve"}, "light mauve"),
    ],
)
def test_a_typed_label_is_understood(
    fields: dict[str, str], label: str, desk: Client, cards: list[Prediction]
) -> None:
    desk.get(card_url())
    post(desk, cards[0], **fields)
    cards[0].refresh_from_db()
    assert cards[0].reviewed_label == label
    assert label in desk.get(card_url()).context["card"].labels


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"label": "mauve"}, "which is no label here"),
        ({"label": ""}, "A label has 1 to 200 printable characters"),
        ({"new_label": "G-REEN".replace("-", "")}, "“green” exists"),
        ({"new_label": "x" * 201}, "received 201 characters"),
        ({"new_label": "a\u202eb"}, "printable"),
    ],
)
def test_a_label_that_cannot_be_meant_keeps_the_card(
    fields: dict[str, str], message: str, desk: Client, cards: list[Prediction]
) -> None:
    desk.get(card_url())
    page = post(desk, cards[0], **fields)

    assert shown(page) == cards[0]
    assert message in page.context["told"].text
    assert "data-refused" in page.content.decode()
    assert not Review.objects.exists()


def test_underscores_and_spaces_make_no_new_label(
    desk: Client, add_version: Callable[..., ModelVersion]
) -> None:
    card = make_prediction(add_version(labels=["blue", "dark_green", "red"]))
    desk.get(card_url())
    assert "“dark_green” exists" in post(desk, card, new_label="Dark green").context["told"].text
    post(desk, card, label="dark green")
    card.refresh_from_db()
    assert card.reviewed_label == "dark_green"


def test_a_card_that_another_took_meanwhile_is_told(
    desk: Client, otto: User, cards: list[Prediction], version: ModelVersion
) -> None:
    desk.get(card_url())
    ReviewLease.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    hands.deal(QUEUES["newest"], version.recognizer, otto)

    page = post(desk, cards[0], label="green")

    assert shown(page) == cards[2]
    assert page.context["told"].is_refusal
    assert not Review.objects.exists()


def test_a_picture_that_is_gone_is_told(desk: Client, cards: list[Prediction]) -> None:
    for gone in (str(uuid.uuid4()), "nonsense", ""):
        page = desk.post(card_url(), {"card": gone, "label": "red"}, headers=SCRIPTED)
        assert "is gone" in page.context["told"].text
        assert shown(page) == cards[0]


def test_an_empty_queue_says_so(desk: Client, version: ModelVersion) -> None:
    page = desk.get(card_url("audit"))
    assert shown(page) is None
    assert "Nothing waits here" in page.content.decode()


def test_the_hand_is_renewed(desk: Client, cards: list[Prediction]) -> None:
    desk.get(card_url())
    ReviewLease.objects.update(expires_at=timezone.now() + timedelta(seconds=5))
    response = desk.post(card_url(), {"renew": [cards[0].pk, cards[1].pk, "nonsense"]})
    assert response.status_code == 204
    ends = ReviewLease.objects.values_list("expires_at", flat=True)
    assert all(end > timezone.now() + timedelta(seconds=60) for end in ends)


@pytest.mark.parametrize(
    ("changes", "accepted", "apart"),
    [
        ({}, "red", False),
        ({"state": SUGGESTED, "suggested_label": "blue"}, "blue", False),
        ({"state": SUGGESTED, "suggested_label": "mauve"}, "mauve", True),
        ({"state": SUGGESTED, "suggested_label": ""}, "", False),
        ({"answer": "none", "novelty": 2.0, "novelty_threshold": 1.0}, "", False),
    ],
)
def test_enter_says_what_the_uploader_or_else_the_site_said(
    changes: dict[str, Any], accepted: str, apart: bool, desk: Client, version: ModelVersion
) -> None:
    if "state" in changes:
        changes = changes | {"suggested_at": timezone.now()}
    make_prediction(version, **changes)

    page = desk.get(card_url())

    card = page.context["card"]
    assert (card.accepted, card.accepted_apart) == (accepted, apart)
    assert page.content.decode().count("data-accept") == 1


def test_a_disputed_card_names_both_opinions_and_suggests_neither(
    desk: Client, rosa: User, otto: User, cards: list[Prediction]
) -> None:
    review_predictions([cards[0]], "red", rosa)
    review_predictions([cards[0]], "", otto)

    page = desk.get(card_url("disputed"))

    opinions = page.context["card"].opinions
    assert [(o.reviewer, o.label) for o in opinions] == [("rosa", "red"), ("otto", "")]
    labels = [choice.label for choice in page.context["card"].choices]
    assert labels == ["red", "green", "blue"]
    assert "data-accept" not in page.content.decode()
    page = post(desk, cards[0], "disputed", none="1")
    cards[0].refresh_from_db()
    assert (cards[0].state, cards[0].reviewed_label) == (AGREED, "")
    assert shown(page) is None


def test_what_reviewers_named_comes_before_what_the_network_finds_likely(
    desk: Client, rosa: User, otto: User, cards: list[Prediction]
) -> None:
    review_predictions([cards[0]], "mauve", rosa)
    review_predictions([cards[0]], "blue", otto)

    choices = desk.get(card_url("disputed")).context["card"].choices

    assert [(c.key, c.label, c.probability) for c in choices] == [
        ("1", "mauve", None),
        ("2", "blue", 0.1),
        ("3", "red", 0.7),
        ("4", "green", 0.2),
    ]


def test_markup_in_labels_is_escaped(
    desk: Client, add_version: Callable[..., ModelVersion]
) -> None:
    evil = '"><script>alert(1)</script>'
    version = add_version(labels=["blue", "green", evil])
    make_prediction(version, label=evil)
    for url in (card_url(), GRID_URL):
        assert evil not in desk.get(url).content.decode()


def test_a_card_takes_few_queries_however_many_wait(
    desk: Client, version: ModelVersion, cards: list[Prediction], django_assert_max_num_queries: Any
) -> None:
    desk.get(card_url("uncertain"))
    with django_assert_max_num_queries(45):
        post(desk, cards[0], "uncertain", label="red")


# The grid


def test_the_grid_shows_the_open_pictures_of_one_label(
    desk: Client, cards: list[Prediction], version: ModelVersion
) -> None:
    green = make_prediction(version, label="green")
    make_prediction(version, state=REVIEWED, reviewed_label="red")

    assert desk.get(f"{GRID_URL}&label=red").context["pictures"] == cards
    assert desk.get(f"{GRID_URL}&label=green").context["pictures"] == [green]
    page = desk.get(GRID_URL)
    assert (page.context["label"], page.context["labels"]) == ("green", ["green", "red"])
    assert "checked" not in page.content.decode().split('<ul class="grid">')[1].split("</ul>")[0]
    assert desk.get(f"{GRID_URL}&label=unheard").context["pictures"] == []


def test_pages_of_the_grid_follow_each_other_without_gaps(
    desk: Client, version: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grid_pages, "PICTURES_A_PAGE", 2)
    now = timezone.now()  # three at the same moment: the id decides
    times = [now, now, now, *(now - timedelta(minutes=n) for n in range(1, 5))]
    rows = [make_prediction(version, created_at=time) for time in times]
    url, seen = f"{GRID_URL}&label=red", []
    while url:
        page = desk.get(url)
        seen += page.context["pictures"]
        url = page.context["next_url"]
    assert len(seen) == len(rows)
    assert set(seen) == set(rows)
    assert desk.get(f"{GRID_URL}&label=red&after=nonsense_1").context["pictures"] == seen[:2]


@pytest.mark.parametrize(
    ("fields", "label"),
    [
        ({"confirm": "1"}, "red"),
        ({"none": "1"}, ""),
        ({"set": "1", "label": "blue"}, "blue"),
        ({"add": "1", "new_label": "mauve"}, "mauve"),
    ],
)
def test_the_ticked_get_one_answer(
    fields: dict[str, str], label: str, desk: Client, cards: list[Prediction]
) -> None:
    response = desk.post(
        f"{GRID_URL}&label=red", {"picture": [card.pk for card in cards[:2]], **fields}, follow=True
    )
    assert "2 reviews written." in response.content.decode()
    labels = Prediction.objects.settled().values_list("reviewed_label", flat=True)
    assert list(labels) == [label, label]
    assert response.context["pictures"] == [cards[2]]


def test_what_others_have_is_neither_shown_nor_written(
    desk: Client, otto: User, cards: list[Prediction], version: ModelVersion
) -> None:
    hands.deal(QUEUES["newest"], version.recognizer, otto)
    assert desk.get(f"{GRID_URL}&label=red").context["pictures"] == [cards[2]]

    response = desk.post(
        f"{GRID_URL}&label=red",
        {"picture": [card.pk for card in cards], "confirm": "1"},
        follow=True,
    )
    content = response.content.decode()
    assert "1 review written." in content
    assert "settled them: 2." in content
    assert Review.objects.get().prediction == cards[2]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"confirm": "1"}, "tick those you mean"),
        ({"picture": "nonsense", "confirm": "1"}, "tick those you mean"),
        ({"picture": "all", "label": "mauve"}, "which is no label here"),
    ],
)
def test_a_grid_that_cannot_be_meant_writes_nothing(
    fields: dict[str, str], message: str, desk: Client, cards: list[Prediction]
) -> None:
    if fields.get("picture") == "all":
        fields = fields | {"picture": str(cards[0].pk)}
    response = desk.post(f"{GRID_URL}&label=red", fields, follow=True)
    assert message in response.content.decode()
    assert not Review.objects.exists()


def test_a_page_of_the_grid_takes_as_many_queries_for_forty_as_for_one(
    desk: Client, version: ModelVersion, django_assert_max_num_queries: Any
) -> None:
    for _ in range(40):
        make_prediction(version)
    with django_assert_max_num_queries(25):
        desk.get(f"{GRID_URL}&label=red")
