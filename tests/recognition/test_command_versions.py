import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from recognition import gating
from recognition.models import ModelVersion, Recognizer
from tests.recognition.test_gating import comparison

AddVersion = Callable[..., ModelVersion]


def run(command: str, *arguments: str) -> str:
    out = StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue()


def active_numbers(recognizer: Recognizer) -> list[int]:
    return list(recognizer.versions.filter(is_active=True).values_list("number", flat=True))


# recognizers


def test_the_list_aligns_versions_and_metrics(
    add_version: AddVersion, recognizer: Recognizer
) -> None:
    add_version()
    add_version(activate=False)
    ModelVersion.objects.filter(number=2).update(metrics={})
    Recognizer.objects.create(slug="empty", name="Empty")

    lines = run("recognizers").splitlines()

    assert lines[0].split()[:4] == ["recognizer", "version", "active", "architecture"]
    assert lines[1].split()[:3] == ["colors", "v2", "colors"]
    assert lines[2].split()[:3] == ["colors", "v1", "yes"]
    assert "0.9000 (0.7400 to 0.9700)  30" in lines[2]
    assert lines[3].split()[:2] == ["empty", "-"]
    assert lines[1].index("v2") == lines[2].index("v1") == lines[0].index("version")


@pytest.mark.django_db
def test_an_empty_list_says_how_to_begin() -> None:
    assert "manage.py retrain SLUG --data DIR" in run("recognizers")


def test_json_holds_the_same(add_version: AddVersion) -> None:
    add_version()

    (listed,) = json.loads(run("recognizers", "--json"))

    assert (listed["slug"], listed["name"]) == ("colors", "Colours")
    (version,) = listed["versions"]
    assert (version["number"], version["active"]) == (1, True)
    assert version["metrics"]["accuracy"] == 0.9
    assert version["labels"] == ["blue", "green", "red"]


# activate


@pytest.mark.parametrize("number", ["1", "v1", "V1"])
def test_a_version_is_activated_by_its_number(
    number: str, add_version: AddVersion, recognizer: Recognizer
) -> None:
    add_version()
    add_version()

    assert run("activate", "colors", number, "--note", "calmer") == "colors v1 is active.\n"

    assert active_numbers(recognizer) == [1]
    assert recognizer.versions.get(number=1).activation_note == "calmer"


@pytest.mark.parametrize("number", ["3", "v3", "0", "one", "", "1.0", "-1", "9" * 30])
def test_an_unknown_version_is_answered_with_those_that_exist(
    number: str, add_version: AddVersion, recognizer: Recognizer
) -> None:
    add_version()
    add_version()
    with pytest.raises(CommandError, match=r"These exist: v1, v2\."):
        run("activate", "colors", number)
    assert active_numbers(recognizer) == [2]


def test_a_version_that_the_gate_found_worse_takes_a_note(
    recognizer: Recognizer, add_version: AddVersion
) -> None:
    incumbent, worse = add_version(), add_version(activate=False)
    gating.decide(worse, comparison("worse"), incumbent=incumbent)

    with pytest.raises(CommandError, match="Received no reason"):
        run("activate", "colors", "2")
    assert recognizer.active_version() == incumbent

    run("activate", "colors", "2", "--note", "A fair.")
    record = worse.activations.get()
    assert (record.kind, record.person, record.reason) == ("forced", None, "A fair.")


@pytest.mark.django_db
@pytest.mark.parametrize("command", [("activate", "pests", "1"), ("rollback", "pests")])
def test_without_any_recognizer_the_way_to_one_is_told(command: Any) -> None:
    with pytest.raises(CommandError, match="None exists yet: retrain creates one"):
        run(*command)


def test_a_broken_version_stays_inactive(add_version: AddVersion, recognizer: Recognizer) -> None:
    add_version()
    broken = add_version(activate=False)
    (broken.path / "model.tflite").write_bytes(b"half")

    with pytest.raises(
        CommandError, match=r"colors v2 was not activated\. model\.tflite"
    ) as caught:
        run("activate", "colors", "2")

    assert caught.value.returncode == 1
    assert active_numbers(recognizer) == [1]


# rollback


def test_rollback_goes_to_the_newest_earlier_version_that_served(
    add_version: AddVersion, recognizer: Recognizer
) -> None:
    add_version()
    add_version(activate=False)
    add_version()

    assert run("rollback", "colors") == "colors v1 is active again.\n"
    assert active_numbers(recognizer) == [1]


def test_rollback_without_an_earlier_version_changes_nothing(
    add_version: AddVersion, recognizer: Recognizer
) -> None:
    add_version()
    with pytest.raises(CommandError, match=r"Nothing was rolled back\..* version 1 is active"):
        run("rollback", "colors")
    assert active_numbers(recognizer) == [1]


def test_rollback_to_a_broken_version_changes_nothing(
    add_version: AddVersion, recognizer: Recognizer
) -> None:
    first = add_version()
    add_version()
    (first.path / "model.tflite").unlink()
    with pytest.raises(CommandError, match="Nothing was rolled back"):
        run("rollback", "colors")
    assert active_numbers(recognizer) == [2]
