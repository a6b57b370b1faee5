"""A CSV says which picture carries which label; what is wrong in it is told by line."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.dataset import Dataset, load_dataset
from ml.errors import DatasetError
from ml.manifests import index_manifest
from ml.splits import SPLITS
from tests.ml.dataset_pictures import write_classes


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_classes(tmp_path / "shots", {"one": range(8), "two": range(8, 16)})


def write(folder: Path, *lines: str, encoding: str = "utf-8") -> Path:
    path = folder / "labels.csv"
    path.write_bytes("\r\n".join(lines).encode(encoding))
    return path


def rows(*more: str) -> list[str]:
    return [
        *(f"one/{seed}.png,ants{''.join(more)}" for seed in range(8)),
        *(f"two/{seed}.png,bees{''.join(more)}" for seed in range(8, 16)),
    ]


def load(manifest: Path) -> Dataset:
    return load_dataset([manifest], unpack_dir=manifest.parent / "unpacked", progress=False)


def refusal(folder: Path, *lines: str, encoding: str = "utf-8") -> str:
    manifest = write(folder, *lines, encoding=encoding)
    with pytest.raises(DatasetError) as caught:
        index_manifest(manifest, manifest.name)
    assert caught.value.code == "bad_manifest"
    return caught.value.message


def test_pictures_are_read_with_the_labels_of_the_file(pictures: Path) -> None:
    dataset = load(write(pictures, "path,label", *rows()))
    assert dataset.labels == ("ants", "bees")
    assert len(dataset.examples) == 16
    assert dataset.examples[0].name == "labels.csv/one/0.png"
    assert {e.label for e in dataset.examples if "/two/" in e.name} == {"bees"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_columns_come_in_any_order_with_others_and_quotes(pictures: Path, encoding: str) -> None:
    manifest = write(
        pictures,
        "Label;note;PATH",
        'käfer;"a; b";"one/0.png"',
        "",
        "slug;;.\\one\\1.png",
        encoding=encoding,
    )
    index = index_manifest(manifest, "labels.csv")
    assert [(file.label, file.name) for file in index.files] == [
        ("käfer", "labels.csv/one/0.png"),
        ("slug", "labels.csv/one/1.png"),
    ]
    assert all(file.path.is_file() and file.splits == SPLITS for file in index.files)


def test_missing_files_are_skipped_and_told(pictures: Path) -> None:
    dataset = load(write(pictures, "path,label", *rows(), "one/99.png,ants"))
    (skipped,) = dataset.skipped
    assert (skipped.name, skipped.reason) == ("labels.csv/one/99.png", "the file does not exist")
    assert any("1 file skipped" in line for line in dataset.health.lines())


def test_pictures_go_to_the_split_that_the_file_says(pictures: Path) -> None:
    lines = [f"{row},{SPLITS[n % 3]}" for n, row in enumerate(rows())]
    dataset = load(write(pictures, "path,label,split", *lines))
    assert {e.name.removeprefix("labels.csv/"): e.split for e in dataset.examples} == {
        row.split(",")[0]: SPLITS[n % 3] for n, row in enumerate(rows())
    }
    assert dataset.health.unfollowed_split == ()


def test_without_validation_some_of_train_becomes_it_and_test_stays(pictures: Path) -> None:
    lines = [f"{row},{'Test' if n % 4 == 0 else 'train'}" for n, row in enumerate(rows())]
    dataset = load(write(pictures, "path,label,split", *lines))
    counts = Counter(example.split for example in dataset.examples)
    assert counts["test"] == 4
    assert counts["validation"] >= 2
    assert dataset.health.unfollowed_split == ()


def test_a_picture_keeps_the_split_of_an_earlier_training_and_says_so(pictures: Path) -> None:
    lines = [f"{row},{SPLITS[n % 3]}" for n, row in enumerate(rows())]
    manifest = write(pictures, "path,label,split", *lines)
    first = load(manifest).examples[0]
    assert first.split == "train"
    dataset = load_dataset(
        [manifest],
        unpack_dir=pictures / "unpacked",
        known_splits={first.sha256: "test"},
        progress=False,
    )
    assert dataset.examples[0].split == "test"
    assert [picture.name for picture in dataset.health.unfollowed_split] == [first.name]


def test_a_copy_for_testing_is_left_out_of_training(pictures: Path) -> None:
    (pictures / "one" / "again.png").write_bytes((pictures / "one" / "0.png").read_bytes())
    lines = [f"{row},{SPLITS[n % 3]}" for n, row in enumerate(rows())]
    dataset = load(write(pictures, "path,label,split", *lines, "one/again.png,ants,test"))
    (copies,) = dataset.health.exact_duplicates
    assert copies.leaked
    assert copies.kept.name == "labels.csv/one/again.png"
    assert any("1 picture for testing also among" in line for line in dataset.health.lines())


def test_an_absolute_path_inside_the_folder_is_read(pictures: Path) -> None:
    manifest = write(pictures, "path,label", f"{pictures / 'one' / '0.png'},ants")
    (file,) = index_manifest(manifest, "labels.csv").files
    assert file.name == "labels.csv/one/0.png"


@pytest.mark.parametrize(
    "path", ["../secret.png", "/etc/passwd", "one/../../secret.png", "..\\secret.png", "."]
)
def test_paths_that_lead_out_of_the_folder_are_refused(pictures: Path, path: str) -> None:
    message = refusal(pictures, "path,label", "one/0.png,ants", f"{path},ants")
    assert "line 3" in message
    assert "not inside the folder of labels.csv" in message


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], "line 1 lacks 'path' and 'label'"),
        (["file,label", "a.png,ants"], "line 1 lacks 'path' and reads ['file', 'label']"),
        (["path,label,label", "a.png,b,c"], "line 1 has the column 'label' 2 times"),
        (["path,label"], "names no picture"),
        (["path,label", "a.png"], "line 2 has 1 cells"),
        (["path,label", "a.png,ants", "b.png,"], "line 3 has no label"),
        (["path,label", ",ants"], "line 2 has no path"),
        (["path,label,split", "a.png,ants,dev"], "'dev'; allowed are train, validation, test"),
        (
            ["path,label", "a.png,ants", "a.png,bees"],
            "line 3 has a.png as 'bees', line 2 as 'ants'",
        ),
        (["path,label", '"a.png,ants'], "line 2 is no CSV"),
    ],
)
def test_a_wrong_line_is_refused_with_what_is_allowed(
    pictures: Path, lines: list[str], told: str
) -> None:
    assert told in refusal(pictures, *lines)


def test_another_encoding_is_refused_with_its_line(pictures: Path) -> None:
    message = refusal(pictures, "path,label", "one/0.png,käfer", encoding="latin-1")
    assert "line 2 is not UTF-8" in message


@given(text=st.text(max_size=60))
def test_whatever_the_file_holds_it_is_indexed_inside_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("any").resolve()
    manifest = write(folder, "path,label", text)
    try:
        index = index_manifest(manifest, "labels.csv")
    except DatasetError as error:
        assert error.code == "bad_manifest"
    else:
        assert all(folder in file.path.parents for file in index.files)
