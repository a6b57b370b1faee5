"""What a training tells: whole lines in order, also after a kill in the midst of one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ml import events


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Let events go to a file, and no longer afterwards."""
    path = tmp_path / events.EVENTS_NAME
    events.write_to(path)
    yield path
    events._path = None


def test_what_is_told_is_read_in_order_and_only_once(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events.stage("training", epochs=3)
    events.say("Network: cnn.")
    first, offset = events.read(path)
    events.epoch({"phase": "train", "epoch": 1, "loss": float("nan")})
    second, _ = events.read(path, offset)

    assert [event["kind"] for event in first] == ["stage", "lines"]
    assert [event["row"]["epoch"] for event in second] == [1]
    assert capsys.readouterr().out == "Network: cnn.\n"


def test_a_line_that_a_kill_cut_short_harms_none_after_it(path: Path) -> None:
    events.stage("reading")
    with path.open("ab") as file:
        file.write(b'{"kind": "sta')
    assert len(events.read(path)[0]) == 1

    events.write_to(path)
    events.refusal("too_few", "ants: 1 picture.")

    assert [event["kind"] for event in events.read(path)[0]] == ["stage", "refusal"]


def test_without_a_file_nothing_is_written_and_nothing_read(tmp_path: Path) -> None:
    events.candidate(1, 2)

    assert events.read(tmp_path / "none.jsonl") == ([], 0)
