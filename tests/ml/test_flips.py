"""Pictures that flipped: kept with where both versions looked, and read with distrust."""

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ml.comparison import Comparison, compare
from ml.errors import ArtifactError
from ml.examples import Example
from ml.flips import FLIPS_NAME, MAX_FLIPS, Flips, picture_flips, read_flips
from ml.inference import Classifier
from tests.networks import COLOR_LABELS, COLOR_WEIGHTS, color_network, write_color_artifact

COLORS = {"blue": (20, 20, 220), "green": (20, 220, 20), "red": (220, 20, 20)}


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    """Return four pictures of each colour, 640 px wide, in the order of a data set."""
    root = tmp_path_factory.mktemp("pictures")
    made = []
    for label in COLOR_LABELS:
        for number in range(4):
            path = root / f"{label}-{number}.png"
            Image.new("RGB", (640, 320), COLORS[label]).save(path)
            made.append(
                Example(
                    name=path.name, label=label, sha256=path.name, path=path, group="", split="test"
                )
            )
    return made


def load(folder: Path, weights: Any = COLOR_WEIGHTS, labels: tuple[str, ...] = COLOR_LABELS) -> Any:
    write_color_artifact(folder, labels, network=color_network(weights))
    return Classifier.load(folder)


@pytest.fixture
def candidate(tmp_path: Path) -> Classifier:
    return load(tmp_path / "candidate")  # type: ignore[no-any-return]


@pytest.fixture
def incumbent(tmp_path: Path) -> Classifier:
    """Return a classifier that takes red for green and green for red."""
    return load(tmp_path / "incumbent", COLOR_WEIGHTS[[0, 2, 1]])  # type: ignore[no-any-return]


def compared(examples: list[Example], given: list[str], before: list[str]) -> Comparison:
    def answers(labels: list[str]) -> Any:
        return 0.1 + 0.7 * np.eye(3)[[COLOR_LABELS.index(label) for label in labels]]

    truth = [COLOR_LABELS.index(example.label) for example in examples]
    names = [example.name for example in examples]
    return compare(answers(given), answers(before), truth, COLOR_LABELS, names)


@pytest.fixture
def comparison(examples: list[Example]) -> Comparison:
    """Return one with red newly right, and the first blue picture newly wrong."""
    swapped = {"blue": "blue", "green": "green", "red": "green"}
    truth = [example.label for example in examples]
    return compared(examples, ["green", *truth[1:]], [swapped[label] for label in truth])


@pytest.fixture
def flips(
    comparison: Comparison, examples: list[Example], candidate: Classifier, incumbent: Classifier
) -> Flips:
    return picture_flips(comparison, examples, candidate=candidate, incumbent=incumbent)


def test_each_flip_has_its_picture_and_where_both_looked(flips: Flips) -> None:
    assert [one.flip.name for one in flips.gained] == [f"red-{n}.png" for n in range(4)]
    assert [one.flip.name for one in flips.lost] == ["blue-0.png"]
    assert (flips.gained_in_all, flips.lost_in_all) == (4, 1)
    gained = flips.gained[0]
    assert (gained.width_px, gained.height_px) == (320, 160)
    for one, color in ((gained, COLORS["red"]), (flips.lost[0], COLORS["blue"])):
        shown = np.asarray(Image.open(io.BytesIO(one.jpeg)))
        assert np.abs(shown.mean(axis=(0, 1)) - color).max() < 5
    # The incumbent weighs red for "green", the candidate for "red": both looked everywhere.
    assert gained.old_look is not None
    assert gained.new_look is not None
    assert {value for row in gained.new_look.rows for value in row} == {255}
    assert gained.overlay(gained.old_look).startswith(b"\x89PNG")


def test_they_come_back_as_they_were_written(flips: Flips) -> None:
    assert Flips.from_bytes(flips.to_bytes()) == flips


def test_a_class_that_the_incumbent_lacks_has_no_look(
    tmp_path: Path, comparison: Comparison, examples: list[Example], candidate: Classifier
) -> None:
    other = load(tmp_path / "other", labels=("blue", "violet", "red"))

    flips = picture_flips(comparison, examples, candidate=candidate, incumbent=other)

    assert flips.gained[0].old_look is None
    assert flips.gained[0].new_look is not None


def test_more_than_the_limit_are_counted(
    examples: list[Example], candidate: Classifier, incumbent: Classifier
) -> None:
    reds = [example for example in examples if example.label == "red"]
    many = [reds[0]] * (MAX_FLIPS + 3)
    comparison = compared(many, ["red"] * len(many), ["green"] * len(many))

    flips = picture_flips(comparison, many, candidate=candidate, incumbent=incumbent)

    assert len(flips.gained) == MAX_FLIPS
    assert flips.gained_in_all == MAX_FLIPS + 3


def test_a_picture_that_has_gone_is_listed_without_it(
    comparison: Comparison, examples: list[Example], candidate: Classifier, incumbent: Classifier,
    tmp_path: Path,
) -> None:  # fmt: skip
    gone = [
        Example(
            name=e.name, label=e.label, sha256=e.sha256, path=tmp_path / "gone.png", group="",
            split="test",
        )
        for e in examples
    ]  # fmt: skip

    flips = picture_flips(comparison, gone, candidate=candidate, incumbent=incumbent)

    assert flips.lost[0].jpeg == b""
    assert Flips.from_bytes(flips.to_bytes()) == flips


def test_of_an_upload_no_copy_is_kept(
    comparison: Comparison, examples: list[Example], candidate: Classifier, incumbent: Classifier
) -> None:
    uploads = [replace(example, name=f"prediction {example.name}") for example in examples]
    lost = tuple(replace(flip, name=f"prediction {flip.name}") for flip in comparison.lost)

    flips = picture_flips(
        replace(comparison, gained=(), lost=lost), uploads, candidate=candidate, incumbent=incumbent
    )

    assert flips.lost[0].jpeg == b""
    assert (flips.lost[0].width_px, flips.lost[0].height_px) == (320, 160)
    assert flips.lost[0].new_look is not None


# Reading


def test_a_folder_without_flips_has_none(tmp_path: Path, candidate: Classifier) -> None:
    assert read_flips(tmp_path / "candidate") is None


def test_an_altered_file_is_refused(tmp_path: Path, flips: Flips) -> None:
    folder = tmp_path / "version"
    write_color_artifact(folder, files={FLIPS_NAME: flips.to_bytes()})
    assert read_flips(folder) == flips

    (folder / FLIPS_NAME).write_bytes(flips.to_bytes() + b" ")

    with pytest.raises(ArtifactError) as refusal:
        read_flips(folder)
    assert refusal.value.code == "altered_file"


def put(*keys: Any, value: Any) -> Callable[[Any], None]:
    """Return what sets one place of the document."""

    def change(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return change


FIRST = ("gained", 0)
DAMAGE = {
    "no list": put("gained", value=3),
    "no flip": put("gained", value=[3]),
    "count": put("lost_in_all", value=-1),
    "name": put(*FIRST, "name", value=["x"]),
    "long label": put(*FIRST, "label", value="x" * 3000),
    "probability": put(*FIRST, "new_probability", value=7),
    "true": put(*FIRST, "new_probability", value=True),
    "base64": put(*FIRST, "jpeg", value="<script>"),
    "no JPEG": put(*FIRST, "jpeg", value="PHN2Zz4="),
    "width": put(*FIRST, "width_px", value=100_000),
    "values": put(*FIRST, "old_look", "rows", value=[[1, 999]]),
    "ragged": put(*FIRST, "old_look", "rows", value=[[1, 2], [3]]),
    "texts": put(*FIRST, "old_look", "rows", value=[["a"]]),
    "empty": put(*FIRST, "old_look", "rows", value=[]),
    "large": put(*FIRST, "old_look", "rows", value=[[0] * 300] * 300),
    "nowhere": put(*FIRST, "old_look", "region", value=[0, 0, 0, 1]),
    "infinite": put(*FIRST, "old_look", "region", value=[0, 0, 1e999, 1]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_refused_and_nothing_of_it_shown(flips: Flips, damage: str) -> None:
    document = json.loads(flips.to_bytes())
    DAMAGE[damage](document)

    with pytest.raises(ArtifactError) as refusal:
        Flips.from_bytes(json.dumps(document).encode())

    assert refusal.value.code == "bad_flips"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b"null"])
def test_a_file_that_is_no_document_is_refused(content: bytes) -> None:
    with pytest.raises(ArtifactError) as refusal:
        Flips.from_bytes(content)
    assert refusal.value.code == "bad_flips"
