"""The leaderboard: what it shows of a comparison, in which language, and when there is none."""

import json
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ml.contenders import Contender
from ml.leaderboard import Leaderboard, LeaderboardRow
from recognition.leaderboards import Scale, has_leaderboard, read_leaderboard
from recognition.models import ModelVersion, Recognizer

HOSTILE = "<script>alert(1)</script>"


def row(name: str, *correct: int, **changes: Any) -> LeaderboardRow:
    fields: dict[str, Any] = {
        "contender": Contender(architecture=name),
        "correct": correct,
        "n": 1200,
        "parameters": 2_257_984,
        "macs": 153_450_000,
        "file_bytes": 4_600_000,
        "ms_an_image": 7.25,
        "training_s": 83.4,
    }
    return LeaderboardRow(**(fields | changes))


BOARD = Leaderboard(
    rows=(
        row("cnn", 1100, 1090, contender=Contender(architecture="cnn", options={"depth": 6})),
        row("linear", 800, 802),
        LeaderboardRow(contender=Contender(architecture="mobilenet_v2"), error=HOSTILE),
    ),
    chosen_seed=0,
    test_correct=270,
    test_n=300,
    optimism=0.0123,
)
FILES = {"leaderboard.json": json.dumps(BOARD.to_dict()).encode()}


@pytest.fixture
def compared(add_version: Callable[..., ModelVersion]) -> ModelVersion:
    """Return a version that came out of a comparison, followed by one that did not."""
    version = add_version(files=FILES)
    add_version()
    return version


def page_of(client: Client, address: str = "/colors/leaderboard/", **headers: Any) -> str:
    response = client.get(address, headers=headers)
    assert response.status_code == 200
    return unescape(response.content.decode())


def test_every_candidate_is_shown_with_what_it_costs(
    client: Client, compared: ModelVersion
) -> None:
    page = page_of(client)

    assert page.index("cnn <span") < page.index(">linear")
    assert '<span class="board__options">depth=6</span>' in page
    for text in ("91.2%", "2,257,984", "153.45 million", "4.4\xa0MB", "7.25 ms", "83 s"):
        assert text in page
    assert "mean of 2 trainings" in page
    assert page.count('class="interval"') == 2
    assert 'cx="' in page


def test_the_chosen_one_and_its_luck_are_told_in_words(
    client: Client, compared: ModelVersion
) -> None:
    page = page_of(client)

    assert "<strong>cnn:depth=6</strong> is right on <strong>90.0%</strong> of 300 test" in page
    assert "became version 1" in page
    assert "best of 4 networks" in page
    assert "1.2 percentage points" in page


def test_a_reason_stays_text(client: Client, compared: ModelVersion) -> None:
    content = client.get("/colors/leaderboard/").content.decode()

    assert HOSTILE not in content
    assert "&lt;script&gt;" in content


def test_all_of_it_is_told_in_german(client: Client, compared: ModelVersion) -> None:
    page = page_of(client, **{"accept-language": "de"})

    assert '<html lang="de">' in page
    assert "Verglichene Netze" in page
    assert "1,2 Prozentpunkte" in page
    assert "153,45 Millionen" in page
    assert "Whoever" not in page


def test_the_newest_comparison_is_shown_unless_an_earlier_one_is_asked_for(
    client: Client, compared: ModelVersion, add_version: Callable[..., ModelVersion]
) -> None:
    add_version(files=FILES)

    assert "became version 3" in page_of(client)
    assert "became version 1" in page_of(client, "/colors/leaderboard/?version=1")


@pytest.mark.parametrize("query", ["?version=2", "?version=9", "?version=x", "?version=²"])
def test_a_version_without_a_comparison_is_not_found(
    client: Client, compared: ModelVersion, query: str
) -> None:
    assert client.get(f"/colors/leaderboard/{query}").status_code == 404


def test_nobody_has_a_leaderboard_without_a_recognizer(client: Client, db: None) -> None:
    assert client.get("/nothing/leaderboard/").status_code == 404


def test_a_page_is_only_read(client: Client, compared: ModelVersion) -> None:
    assert client.post("/colors/leaderboard/").status_code == 405


def test_where_nothing_was_compared_the_page_says_how(client: Client, served: Recognizer) -> None:
    assert "python manage.py compare colors --architectures" in page_of(client)
    assert not has_leaderboard(served)


def test_a_choice_without_a_choice_says_so(
    client: Client, add_version: Callable[..., ModelVersion]
) -> None:
    alone = Leaderboard(
        rows=(row("cnn", 1100), BOARD.rows[2]),
        chosen_seed=0,
        test_correct=1,
        test_n=1,
        optimism=0.0,
    )
    add_version(files={"leaderboard.json": json.dumps(alone.to_dict()).encode()})

    assert "Only one network could be trained" in page_of(client)


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 5000, b"\xff", FILES["leaderboard.json"]])
def test_a_damaged_or_foreign_leaderboard_is_none(compared: ModelVersion, content: bytes) -> None:
    (compared.path / "leaderboard.json").write_bytes(content + b" ")

    assert read_leaderboard(compared) is None


@pytest.mark.parametrize("content", [b"{}", b"[" * 100_000, b'{"rows": []}', b"\xff"])
def test_what_no_comparison_wrote_is_no_leaderboard(
    add_version: Callable[..., ModelVersion], content: bytes
) -> None:
    assert read_leaderboard(add_version(files={"leaderboard.json": content})) is None


def test_the_recognizer_and_its_version_lead_there(client: Client, compared: ModelVersion) -> None:
    assert 'href="/colors/leaderboard/"' in page_of(client, "/colors/")
    client.force_login(User.objects.create_superuser("admin"))
    address = f"/admin/recognition/modelversion/{compared.pk}/change/"
    assert 'href="/colors/leaderboard/?version=1"' in page_of(client, address)


def test_the_scale_holds_every_interval() -> None:
    scale = Scale.around([row("cnn", 1100), row("linear", 800), row("lucky", 1200)])

    assert (scale.low, scale.high) == pytest.approx((0.60, 1.0))
    assert scale.place(0.8) == pytest.approx(0.5)
