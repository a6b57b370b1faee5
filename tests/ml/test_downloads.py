"""Public sets by name: fetched from a real server, checked, converted, and kept."""

import gzip
import hashlib
import io
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ml import downloads
from ml.dataset import load_dataset, read_pixels
from ml.downloads import fetch, fetch_sources
from ml.errors import DatasetError
from ml.named_sets import NAMED_SETS, NamedSet, cached_path, is_named_set, located
from ml.npz import read_npz

CLASSES = 10


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name in the library)
        """Say nothing."""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Serve a folder over HTTP; give the folder and its address."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def made_up(
    shape: tuple[int, ...], n: int, seed: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (n, *shape), dtype=np.uint8)
    return pixels, (np.arange(n) % CLASSES).astype(np.uint8)


def mnist_files(seed: int) -> dict[str, bytes]:
    (x_train, y_train), (x_test, y_test) = made_up((28, 28), 40, seed), made_up((28, 28), 20, 9)
    stream = io.BytesIO()
    np.savez(stream, x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    return {"mnist.npz": stream.getvalue()}


def fashion_files(seed: int) -> dict[str, bytes]:
    files = {}
    for prefix, n, shift in (("train", 40, 0), ("t10k", 20, 9)):
        pixels, labels = made_up((28, 28), n, seed + shift)
        sizes = np.array([n, 28, 28], ">u4").tobytes()
        files[f"{prefix}-images-idx3-ubyte.gz"] = gzip.compress(
            b"\0\0\x08\x03" + sizes + pixels.tobytes()
        )
        files[f"{prefix}-labels-idx1-ubyte.gz"] = gzip.compress(
            b"\0\0\x08\x01" + sizes[:4] + labels.tobytes()
        )
    return files


def cifar_files(seed: int) -> dict[str, bytes]:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        batches = [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]
        for number, batch in enumerate(batches):
            pixels, labels = made_up((32, 32, 3), CLASSES, seed + number)
            rows = np.concatenate(
                [labels[:, None], pixels.transpose(0, 3, 1, 2).reshape(CLASSES, -1)], axis=1
            )
            entry = tarfile.TarInfo(f"cifar-10-batches-bin/{batch}.bin")
            entry.size = rows.size
            archive.addfile(entry, io.BytesIO(rows.tobytes()))
    return {"cifar-10-binary.tar.gz": stream.getvalue()}


def digits_files(seed: int) -> dict[str, bytes]:
    pixels, labels = made_up((64,), 50, seed)
    rows = np.concatenate([pixels % 17, labels[:, None]], axis=1)
    text = "".join(",".join(map(str, row)) + "\n" for row in rows.tolist())
    return {"digits.csv.gz": gzip.compress(text.encode())}


MADE: Mapping[str, Callable[[int], dict[str, bytes]]] = {
    "mnist": mnist_files,
    "fashion_mnist": fashion_files,
    "cifar10": cifar_files,
    "digits": digits_files,
}


def offer(folder: Path, name: str, seed: int = 0) -> NamedSet:
    """Put made-up files of a set's own format on the server; return the set that they are."""
    files = MADE[name](seed)
    (folder / name).mkdir(exist_ok=True)
    for file, content in files.items():
        (folder / name / file).write_bytes(content)
    assert files.keys() == NAMED_SETS[name].sha256.keys()
    digests = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    return replace(NAMED_SETS[name], sha256=digests)


@pytest.mark.parametrize("name", NAMED_SETS)
def test_a_set_is_fetched_converted_and_read_like_any_npz(
    name: str, mirror: tuple[Path, str], tmp_path: Path
) -> None:
    folder, url = mirror
    path = fetch(offer(folder, name), cache_dir=tmp_path / "cache", mirror=url)
    assert path == cached_path(name, tmp_path / "cache")
    dataset = load_dataset([path], unpack_dir=tmp_path / "unpacked", progress=False)
    names = NAMED_SETS[name].class_names or tuple(map(str, range(CLASSES)))
    assert dataset.labels == tuple(sorted(names))
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    example = next(e for e in dataset.examples if (e.part, e.index) == ("train", 3))
    assert example.label == names[3]
    assert read_pixels(example).shape[2] == 3


def test_pixels_and_labels_are_those_of_the_files(mirror: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = mirror
    fashion = read_npz(fetch(offer(folder, "fashion_mnist"), cache_dir=tmp_path, mirror=url))
    assert np.array_equal(fashion.pixels["train"], made_up((28, 28), 40, 0)[0])
    assert np.array_equal(fashion.labels["test"], made_up((28, 28), 20, 9)[1])
    cifar = read_npz(fetch(offer(folder, "cifar10"), cache_dir=tmp_path, mirror=url))
    assert np.array_equal(cifar.pixels["train"][10:20], made_up((32, 32, 3), 10, 1)[0])
    assert np.array_equal(cifar.pixels["test"], made_up((32, 32, 3), 10, 5)[0])
    digits = read_npz(fetch(offer(folder, "digits"), cache_dir=tmp_path, mirror=url))
    levels = (made_up((64,), 50, 0)[0] % 17).astype(int)
    assert np.array_equal(
        digits.pixels["train"], np.round(levels[:40] * 255 / 16).reshape(-1, 8, 8)
    )
    assert digits.labels["test"].tolist() == list(range(10))


def test_a_set_is_fetched_once(
    mirror: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, url = mirror
    monkeypatch.setattr(downloads, "NAMED_SETS", {"digits": offer(folder, "digits")})
    sources = [Path("digits"), tmp_path]
    first = fetch_sources(sources, cache_dir=tmp_path / "cache", mirror=url)
    (folder / "digits" / "digits.csv.gz").unlink()
    assert fetch_sources(sources, cache_dir=tmp_path / "cache", mirror=url) == first
    assert first == [cached_path("digits", tmp_path / "cache"), tmp_path]


def test_another_content_than_is_known_is_refused_and_not_kept(
    mirror: tuple[Path, str], tmp_path: Path
) -> None:
    folder, url = mirror
    known = offer(folder, "digits")
    offer(folder, "digits", seed=1)
    with pytest.raises(DatasetError, match="has another content") as caught:
        fetch(known, cache_dir=tmp_path / "cache", mirror=url)
    assert caught.value.code == "bad_download"
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []
    offer(folder, "digits")
    assert fetch(known, cache_dir=tmp_path / "cache", mirror=url).is_file()


def test_a_file_of_the_wrong_kind_is_refused(mirror: tuple[Path, str], tmp_path: Path) -> None:
    folder, url = mirror
    known = offer(folder, "digits")
    content = gzip.compress(b"<html>not found</html>")
    (folder / "digits" / "digits.csv.gz").write_bytes(content)
    odd = replace(known, sha256={"digits.csv.gz": hashlib.sha256(content).hexdigest()})
    with pytest.raises(DatasetError, match="not what they should be"):
        fetch(odd, cache_dir=tmp_path, mirror=url)


def test_a_server_that_lacks_the_file_is_named_with_what_to_do(
    mirror: tuple[Path, str], tmp_path: Path
) -> None:
    with pytest.raises(DatasetError) as caught:
        fetch(NAMED_SETS["mnist"], cache_dir=tmp_path, mirror=mirror[1])
    assert caught.value.code == "no_download"
    assert "404" in caught.value.message
    assert "LACEWING_DATASETS_URL to a server that has mnist/mnist.npz" in caught.value.message


def test_no_network_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="Check the connection") as caught:
        fetch(NAMED_SETS["mnist"], cache_dir=tmp_path, mirror="http://127.0.0.1:9")
    assert caught.value.code == "no_download"


def test_origins_are_used_without_a_mirror() -> None:
    for named_set in NAMED_SETS.values():
        for file, digest in named_set.sha256.items():
            assert named_set.url(file, "").startswith("https://")
            assert named_set.url(file, "http://a/b/") == f"http://a/b/{named_set.name}/{file}"
            assert len(digest) == 64


def test_a_folder_of_the_same_name_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_named_set(Path("mnist"))
    assert located(Path("mnist")) == Path("mnist")
    (tmp_path / "mnist").mkdir()
    assert not is_named_set(Path("mnist"))
    assert located(Path("mnist")) == tmp_path / "mnist"
