import csv
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from recognition.management.tables import aligned, guarded, printable, write_csv
from recognition.models import ModelVersion, Prediction, Recognizer
from tests.recognition.pictures import BLUE, GREEN, RED, make_picture

AddVersion = Callable[..., ModelVersion]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures in"
    (folder / "deep").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / "a red.jpg").write_bytes(make_picture(RED))
    (folder / "deep" / "green.png").write_bytes(make_picture(GREEN, file_format="PNG"))
    (folder / ".hidden" / "x.jpg").write_bytes(b"")
    (folder / ".DS_Store").write_bytes(b"")
    return folder


def classify(*arguments: Any) -> str:
    out = StringIO()
    call_command("classify", *map(str, arguments), stdout=out)
    return out.getvalue()


def read_csv(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_files_and_folders_are_classified_into_a_table(
    served: Recognizer, pictures: Path, tmp_path: Path
) -> None:
    blue = tmp_path / "blue.webp"
    blue.write_bytes(make_picture(BLUE, file_format="WEBP"))

    lines = classify("colors", blue, pictures, "--top-k", "1").splitlines()

    assert lines[0].split() == ["path", "answer", "label", "probability"]
    assert [line[len(str(tmp_path)) + 1 :].rsplit(maxsplit=2)[:2] for line in lines[1:]] == [
        ["blue.webp", "blue"],
        ["pictures in/a red.jpg", "red"],
        ["pictures in/deep/green.png", "green"],
    ]
    assert not Prediction.objects.exists()


def test_csv_has_a_pair_of_columns_for_each_rank(
    served: Recognizer, pictures: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.csv"

    assert classify("colors", pictures, "--csv", target) == ""

    headings, red, green = read_csv(target)
    assert headings == [
        "path", "answer", "label", "probability", "label_2", "probability_2", "label_3",
        "probability_3",
    ]  # fmt: skip
    assert red[:3] == [str(pictures / "a red.jpg"), "", "red"]
    assert green[2] == "green"
    assert sum(map(float, red[3::2])) == pytest.approx(1, abs=1e-5)
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_what_cannot_be_read_is_named_and_the_rest_is_done(
    served: Recognizer, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "notes.txt").write_text("no picture")
    target = tmp_path / "out.csv"

    with pytest.raises(CommandError, match=r"^2 of 4 files could not be classified\.$") as caught:
        classify("colors", pictures, tmp_path / "absent.jpg", "--csv", target)

    assert caught.value.returncode == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert errors[0].startswith(f"{pictures / 'notes.txt'}: ")
    assert errors[1].startswith(f"{tmp_path / 'absent.jpg'}: ")
    assert [row[2] for row in read_csv(target)] == ["label", "red", "green"]


def test_a_file_named_twice_is_classified_once(served: Recognizer, pictures: Path) -> None:
    assert len(classify("colors", pictures, pictures / "a red.jpg").splitlines()) == 3


def test_file_names_do_not_speak_to_the_terminal(served: Recognizer, tmp_path: Path) -> None:
    path = tmp_path / "\x1b[31mred\n.jpg"
    path.write_bytes(make_picture())

    out = classify("colors", path)

    assert "\x1b" not in out
    assert r"\x1b[31mred\n.jpg" in out


def test_labels_that_look_like_formulas_are_guarded(
    add_version: AddVersion, pictures: Path, tmp_path: Path
) -> None:
    add_version(labels=("=1+1", "@SUM(A1)", "-2"))
    target = tmp_path / "out.csv"

    classify("colors", pictures, "--csv", target)

    assert {row[2] for row in read_csv(target)[1:]} == {"'-2", "'@SUM(A1)"}


def test_an_unknown_recognizer_is_answered_with_those_that_exist(served: Recognizer) -> None:
    with pytest.raises(CommandError, match=r'no recognizer "pests"\. These exist: colors\.'):
        classify("pests", "x.jpg")


def test_a_recognizer_without_an_active_version_says_what_to_do(recognizer: Recognizer) -> None:
    with pytest.raises(CommandError, match=r"manage\.py activate colors VERSION"):
        classify("colors", "x.jpg")


def test_an_altered_version_is_not_used(served: Recognizer, pictures: Path) -> None:
    (served.versions.get().path / "model.tflite").write_bytes(b"other")
    with pytest.raises(CommandError, match=r"colors v1 does not load\. model\.tflite"):
        classify("colors", pictures)


@pytest.mark.parametrize("top_k", ["0", "-1", "many", "1.5"])
def test_top_k_must_count(top_k: str, served: Recognizer, pictures: Path) -> None:
    with pytest.raises(CommandError, match=f"must be a whole number from 1, received {top_k}"):
        classify("colors", pictures, f"--top-k={top_k}")


def test_an_empty_folder_is_an_error(served: Recognizer, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(CommandError, match="hold no files"):
        classify("colors", tmp_path / "empty")


def test_a_place_that_cannot_take_the_csv_is_refused_before_any_work(
    served: Recognizer, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recognition.management.commands.classify.classify_file", None)
    for target in (tmp_path, tmp_path / "absent" / "out.csv"):
        with pytest.raises(CommandError, match="must be a file in a folder that exists"):
            classify("colors", pictures, "--csv", target)


def test_a_csv_that_breaks_off_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old")

    def rows() -> Any:
        yield ["a"]
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_csv(target, rows())

    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_path_that_is_no_text_is_written_escaped(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    write_csv(target, [["caf\udce9.jpg"]])
    assert read_csv(target) == [[r"caf\udce9.jpg"]]


@given(st.text())
def test_no_guarded_cell_begins_a_formula(cell: str) -> None:
    assert not guarded(cell).startswith(("=", "+", "-", "@", "\t", "\r", "\0"))
    assert guarded(cell).removeprefix("'") == cell.removeprefix("'")


@given(st.text(alphabet=st.characters()))
def test_printable_text_is_one_line_and_keeps_what_is_harmless(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text


def test_columns_are_aligned() -> None:
    assert aligned([["a", "bb"], ["ccc"], ["d", "e", "f"]]) == "a    bb\nccc\nd    e   f"
    assert aligned([]) == ""
