"""What people and programs are told: one class, several, or none, from the row alone."""

from collections.abc import Callable
from html import unescape
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.utils import translation

from recognition.answers import answer_meaning, answer_text
from recognition.models import ModelVersion, Prediction, Recognizer
from recognition.ownership import owner_path
from tests.networks import HONEST
from tests.recognition.pictures import RED, make_picture
from tests.recognition.predictions import make_prediction

API = "/api/v1/recognizers/colors/predictions"
ORANGE, GREY = (250, 200, 10), (100, 100, 100)
KNOWN = {"set_level": 0.95, "novelty": 0.2, "novelty_threshold": 0.48}

AddVersion = Callable[..., ModelVersion]


@pytest.fixture
def honest(add_version: AddVersion) -> Recognizer:
    """Return the recognizer of colours with a version that knows what it does not know."""
    return add_version(**HONEST).recognizer


def picture_file(color: tuple[int, ...]) -> SimpleUploadedFile:
    return SimpleUploadedFile("x.png", make_picture(color, file_format="PNG"))


def page_of(client: Client, prediction: Prediction, language: str = "en") -> str:
    headers = {"Accept-Language": language}
    page = client.get(owner_path(prediction.pk), headers=headers).content.decode()
    return unescape(" ".join(page.split()))


@pytest.mark.parametrize(
    ("kind", "labels", "text"),
    [
        ("one", ["red"], "red"),
        ("one", ["Fomes_fomentarius"], "Fomes fomentarius"),
        ("several", ["red", "green"], "red or green"),
        ("several", ["red", "green", "blue"], "red, green or blue"),
        ("several", list("abcd"), "One of 4 classes: a, b, c, d"),
        ("several", list("abcdefgh"), "One of 8 classes: a, b, c, d, e, f, …"),
        ("none", ["red"], "None of the 12 classes I know"),
        ("none", [], "None of the 12 classes I know"),
    ],
)
def test_answer_is_said_as_people_would(kind: str, labels: list[str], text: str) -> None:
    assert answer_text(kind, labels, 12) == text


@pytest.mark.parametrize(("level", "share"), [(0.9, "9 of 10"), (0.95, "19 of 20")])
def test_level_is_said_in_whole_cases(level: float, share: str) -> None:
    assert share in answer_meaning("one", level)
    assert share in answer_meaning("several", level)
    assert share not in answer_meaning("none", level)


def test_answers_are_translated() -> None:
    with translation.override("de"):
        assert answer_text("several", ["rot", "blau"], 3) == "rot oder blau"
        assert answer_text("none", [], 12) == "Keine der 12 Klassen, die ich kenne"
        assert "19 von 20 Bildern" in answer_meaning("one", 0.95)


@pytest.mark.parametrize(
    ("color", "kind", "size", "heading"),
    [
        (RED, "one", 1, 'red <span class="answer__probability">'),
        (ORANGE, "several", 2, "red or green</h1>"),
        (GREY, "none", 3, "None of the 3 classes I know</h1>"),
    ],
)
def test_upload_is_answered_with_one_class_several_or_none(
    client: Client,
    honest: Recognizer,
    color: tuple[int, ...],
    kind: str,
    size: int,
    heading: str,
) -> None:
    response = client.post("/colors/", {"image": picture_file(color)})

    row = Prediction.objects.get()
    assert (row.answer, row.set_level, row.set_size) == (kind, 0.95, size)
    assert row.is_novel is (kind == "none")
    assert row.novelty_threshold == pytest.approx(0.48)
    page = page_of(client, row)
    assert response["Location"] == row.get_absolute_url()
    assert heading in page
    assert f'<p class="answer__meaning">{answer_meaning(kind, 0.95)}</p>' in page
    assert page.count('<li class="class"') == 3
    assert ("That is right" in page) is (kind == "one")
    assert ("red is right" in page) is (kind == "several")


@pytest.mark.parametrize(
    ("color", "text", "has_percent"),
    [
        (RED, "red", True),
        (ORANGE, "red or green", False),
        (GREY, "None of the 3 classes I know", False),
    ],
)
def test_lists_show_the_answer_too(
    client: Client, honest: Recognizer, color: tuple[int, ...], text: str, has_percent: bool
) -> None:
    row = client.post("/colors/", {"image": picture_file(color)}, headers={"HX-Request": "true"})
    history = client.get("/history/").content.decode()

    assert f">{text}</a>" in row.content.decode()
    assert ("upload__percent" in row.content.decode()) is has_percent
    assert f">{text}</p>" in history
    assert ("%" in history.split("pictures__label")[1]) is has_percent


def test_api_carries_answer_set_and_novelty(client: Client, honest: Recognizer) -> None:
    created = client.post(API, {"image": picture_file(ORANGE)})
    body = created.json()

    assert body["answer"] == {"kind": "several", "text": "red or green"}
    assert body["prediction_set"] == {"level": 0.95, "labels": ["red", "green"]}
    assert body["novel"] == {
        "score": pytest.approx(0.383, abs=0.001),
        "threshold": pytest.approx(0.48),
        "is_novel": False,
    }
    owner_url = body.pop("owner_url")
    assert owner_url.startswith("http://testserver/predictions/")
    read = client.get(created["Location"]).json()
    assert {name: read[name] for name in body} == body
    novel = client.post(API, {"image": picture_file(GREY)}).json()
    assert novel["answer"] == {"kind": "none", "text": "None of the 3 classes I know"}
    assert novel["novel"]["is_novel"] is True
    assert novel["classes"]


def test_version_that_can_promise_nothing_answers_as_before(
    client: Client, served: Recognizer
) -> None:
    body = client.post(API, {"image": picture_file(GREY)}).json()

    row = Prediction.objects.get()
    assert (row.answer, row.set_level, row.set_size) == ("", None, None)
    assert (row.novelty, row.novelty_threshold, row.is_novel) == (None, None, None)
    assert body["answer"] is body["prediction_set"] is body["novel"] is None
    page = page_of(client, row)
    assert "answer__meaning" not in page
    assert "answer__probability" in page
    assert "That is right" in page


def test_schema_describes_what_may_be_null(client: Client) -> None:
    schemas = client.get("/api/v1/openapi.json").json()["components"]["schemas"]

    fields = schemas["PredictionOut"]["properties"]
    for name, schema in (
        ("answer", "AnswerOut"),
        ("prediction_set", "PredictionSetOut"),
        ("novel", "NoveltyOut"),
    ):
        assert {"$ref": f"#/components/schemas/{schema}"} in fields[name]["anyOf"]
        assert {"type": "null"} in fields[name]["anyOf"]
        assert "Null where" in fields[name]["description"]
        assert all("description" in field for field in schemas[schema]["properties"].values())
    assert schemas["AnswerOut"]["properties"]["kind"]["enum"] == ["one", "several", "none"]


def test_command_prints_the_answer(honest: Recognizer, tmp_path: Path) -> None:
    for name, color in (("a", RED), ("b", ORANGE), ("c", GREY)):
        (tmp_path / f"{name}.png").write_bytes(make_picture(color, file_format="PNG"))
    out = StringIO()

    call_command("classify", "colors", *map(str, sorted(tmp_path.glob("*.png"))), stdout=out)

    headings, *lines = out.getvalue().splitlines()
    assert headings.split()[:3] == ["path", "answer", "label"]
    answers = ["red", "red or green", "None of the 3 classes I know"]
    assert all(f".png  {answer}  " in line for answer, line in zip(answers, lines, strict=True))


def test_german_page_gives_the_answer_in_german(client: Client, version_row: Prediction) -> None:
    page = page_of(client, version_row, "de")

    assert "red oder green</h1>" in page
    assert "Ich kann sie hier nicht unterscheiden." in page
    assert "Weißt du, was es ist?" in page


@pytest.fixture
def version_row(add_version: AddVersion) -> Prediction:
    """Return a stored prediction between red and green."""
    return make_prediction(add_version(), answer="several", set_size=2, **KNOWN)


def test_classes_of_a_set_are_those_that_the_bars_begin_with(version_row: Prediction) -> None:
    assert version_row.set_labels() == [label for label, _ in version_row.top_classes(2)]


def test_reviewed_label_takes_the_place_of_the_answer(
    client: Client, honest: Recognizer, admin_client: Client
) -> None:
    client.post("/colors/", {"image": picture_file(GREY)})
    Prediction.objects.update(state="reviewed", reviewed_label="slate")

    history = client.get("/history/").content.decode()

    assert ">slate</p>" in history
    assert "None of" not in history


def test_admin_filters_by_answer(admin_client: Client, version_row: Prediction) -> None:
    version = version_row.model_version
    novel = make_prediction(version, answer="none", set_size=1, **(KNOWN | {"novelty": 0.9}))
    older = make_prediction(version)

    def listed(query: str) -> set[Any]:
        page = admin_client.get(f"/admin/recognition/prediction/?{query}")
        return {row.pk for row in page.context["cl"].result_list}

    assert listed("") == {version_row.pk, novel.pk, older.pk}
    assert listed("answer__exact=none") == {novel.pk}
    assert listed("answer__exact=several") == {version_row.pk}
    page = admin_client.get(f"/admin/recognition/prediction/{novel.pk}/change/").content.decode()
    assert "none of its classes" in page
    assert "0.9" in page
