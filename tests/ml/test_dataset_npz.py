"""Pictures in an `.npz`: checked before use, their own test rows kept for testing."""

import gzip
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest

from ml import npz
from ml.dataset import load_dataset, read_pixels, write_examples_csv
from ml.errors import DatasetError
from ml.npz import read_npz
from tests.ml.dataset_pictures import write_classes

Arrays = dict[str, npt.NDArray[Any]]


def arrays(channels: tuple[int, ...] = (), train: int = 60, test: int = 20) -> Arrays:
    generator = np.random.default_rng(0)
    return {
        "x_train": generator.integers(0, 256, (train, 8, 6, *channels), dtype=np.uint8),
        "y_train": (np.arange(train) % 2).astype(np.uint8),
        "x_test": generator.integers(0, 256, (test, 8, 6, *channels), dtype=np.uint8),
        "y_test": (np.arange(test) % 2).astype(np.uint8),
    }


def save(path: Path, content: Arrays) -> Path:
    np.savez_compressed(path, **content)  # type: ignore[arg-type]
    return path


def refusal(path: Path) -> DatasetError:
    with pytest.raises(DatasetError) as caught:
        read_npz(path)
    return caught.value


@pytest.mark.parametrize("channels", [(), (1,), (3,)], ids=["none", "1", "3"])
def test_rows_become_colour_pictures(channels: tuple[int, ...], tmp_path: Path) -> None:
    content = arrays(channels)
    path = save(tmp_path / "digits.npz", content)
    dataset = load_dataset([path], unpack_dir=tmp_path, progress=False)
    assert dataset.labels == ("0", "1")
    assert len(dataset.examples) == 80
    example = next(e for e in dataset.examples if e.name == "digits.npz[train 17]")
    assert (example.label, example.part, example.index) == ("1", "train", 17)
    row = content["x_train"][17].reshape(8, 6, -1)
    assert np.array_equal(read_pixels(example), np.broadcast_to(row, (8, 6, 3)))


def test_its_own_test_rows_are_tested_on_and_nothing_else(tmp_path: Path) -> None:
    path = save(tmp_path / "digits.npz", arrays(train=1000, test=200))
    dataset = load_dataset([path], unpack_dir=tmp_path, progress=False)
    assert {e.part for e in dataset.of_split("test")} == {"test"}
    assert len(dataset.of_split("test")) == 200
    assert len(dataset.of_split("validation")) == pytest.approx(100, abs=30)


def test_a_row_of_both_parts_is_kept_for_testing(tmp_path: Path) -> None:
    content = arrays()
    content["x_train"][4] = content["x_test"][2]
    dataset = load_dataset([save(tmp_path / "d.npz", content)], unpack_dir=tmp_path, progress=False)
    assert len(dataset.examples) == 79
    assert "d.npz[test 2]" in {e.name for e in dataset.of_split("test")}
    assert dataset.health.exact_duplicates[0].left_out == ("d.npz[train 4]",)


def test_rows_are_left_out_of_the_examples_file(tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "drawn", {"0": range(10), "1": range(10, 20)})
    dataset = load_dataset(
        [save(tmp_path / "d.npz", arrays()), folder], unpack_dir=tmp_path, progress=False
    )
    content = gzip.decompress(write_examples_csv(dataset)).decode()
    assert "d.npz" not in content
    assert content.count("drawn/") == 20


def test_the_file_is_read_once_by_many_threads(tmp_path: Path) -> None:
    path = save(tmp_path / "d.npz", arrays())
    dataset = load_dataset([path], unpack_dir=tmp_path, progress=False)
    npz._read.cache_clear()
    with (
        mock.patch.object(npz.zipfile, "ZipFile", wraps=zipfile.ZipFile) as opened,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(read_pixels, dataset.examples))
    assert opened.call_count == 1


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    content = arrays()
    path = save(tmp_path / "d.npz", content)
    read_npz(path)
    content["x_train"] = content["x_train"][:10]
    content["y_train"] = content["y_train"][:10]
    save(path, content)
    assert len(read_npz(path).labels["train"]) == 10


def test_labels_in_a_column_are_read(tmp_path: Path) -> None:
    content = arrays()
    content["y_train"] = content["y_train"][:, None]
    assert read_npz(save(tmp_path / "d.npz", content)).labels["train"].shape == (60,)


@pytest.mark.parametrize(
    ("name", "array", "told"),
    [
        ("x_train", np.zeros((60, 8, 6), np.float32), "x_train is float32"),
        ("x_train", np.zeros((60, 48), np.uint8), "x_train is uint8 (60, 48)"),
        ("x_train", np.zeros((60, 8, 6, 4), np.uint8), "(n, height, width, 1 or 3)"),
        ("x_train", np.zeros((60, 8, 7), np.uint8), "must be the same"),
        ("x_test", np.zeros((0, 8, 6), np.uint8), "x_test is (0, 8, 6)"),
        ("y_train", np.zeros(59, np.uint8), "59 labels for 60 pictures"),
        ("y_train", np.zeros(60, np.float64), "y_train is float64"),
        ("y_train", np.full(60, -1), "0 or more"),
        ("y_train", np.array(["a"] * 60), "y_train is <U1"),
    ],
)
def test_a_wrong_array_is_refused_with_what_is_expected(
    name: str, array: npt.NDArray[Any], told: str, tmp_path: Path
) -> None:
    error = refusal(save(tmp_path / "d.npz", arrays() | {name: array}))
    assert error.code == "bad_npz"
    assert told in error.message


def test_python_objects_are_never_unpickled(tmp_path: Path) -> None:
    class Marker:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return Path.touch, (str(tmp_path / "marker"),)

    content = arrays() | {"y_train": np.array([Marker()] * 60, dtype=object)}
    error = refusal(save(tmp_path / "d.npz", content))
    assert "Python objects" in error.message
    assert not (tmp_path / "marker").exists()


def test_missing_arrays_are_named(tmp_path: Path) -> None:
    content = arrays()
    del content["y_test"]
    error = refusal(save(tmp_path / "d.npz", content))
    assert "it lacks y_test" in error.message


def test_an_array_that_says_it_is_larger_than_it_is_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "d.npz", arrays())
    changed = tmp_path / "changed.npz"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, content.replace(b"(60, 8, 6), ", b"(10**9,6,6),"))
    error = refusal(changed)
    assert error.code == "bad_npz"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(changed, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, content.replace(b"(60, 8, 6), ", b"(99, 9, 9), "))
    assert "larger than it is" in refusal(changed).message


def test_too_large_arrays_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "MAX_ARRAYS_BYTES", 1000)
    assert refusal(save(tmp_path / "d.npz", arrays())).code == "npz_too_large"


@pytest.mark.parametrize("content", [b"", b"not a zip"])
def test_a_damaged_file_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    path.write_bytes(content)
    assert refusal(path).code == "bad_npz"


def test_a_damaged_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    np.savez(path, **arrays())  # type: ignore[arg-type]
    content = bytearray(path.read_bytes())
    content[1000] ^= 255
    path.write_bytes(content)
    assert refusal(path).code == "bad_npz"
