"""Public data sets, fetched with Keras's downloader and kept as `.npz`.

Also a child process of its own, `python -m ml.downloads JSON`, for callers that must not
load TensorFlow.
"""

import gzip
import json
import os
import socket
import sys
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
import numpy.typing as npt
from keras.utils import get_file

from ml.errors import DatasetError
from ml.named_sets import NAMED_SETS, NamedSet, cached_path

STALLED_AFTER_S = 60.0
CIFAR_ROW_BYTES = 1 + 3 * 32 * 32
IDX_HEADER_BYTES = {1: 8, 3: 16}  # by dimensions: magic number, then 4 bytes for each
DIGITS_SIDE_PX = 8
DIGITS_MAXIMUM = 16  # their grey levels go from 0 to this
DIGITS_TEST_SHARE = 5  # the last fifth: writers follow one another, so these are others

Arrays = dict[str, npt.NDArray[np.generic]]


def fetch_sources(sources: Sequence[Path], *, cache_dir: Path, mirror: str = "") -> list[Path]:
    """Return the sources with every name of a public set replaced by its `.npz`.

    Args:
        sources: absolute paths, and names as `ml.named_sets.located` returns them.
        cache_dir: where sets are kept, and found again.
        mirror: address of a server that has `NAME/FILE` for each file; "" for the origins.

    Raises:
        DatasetError: `no_download`, `bad_download`.
    """
    return [
        fetch(NAMED_SETS[str(source)], cache_dir=cache_dir, mirror=mirror)
        if str(source) in NAMED_SETS
        else source
        for source in sources
    ]


def fetch(named_set: NamedSet, *, cache_dir: Path, mirror: str = "") -> Path:
    """Return a set's `.npz`, downloaded and converted unless that has been done before.

    Each file must have the digest that is known of it, whichever server it comes from. The
    `.npz` appears under its name only when whole; the downloads are deleted then.

    Raises:
        DatasetError: `no_download` where the server cannot be reached or does not have the
            file; `bad_download` where the file is another one.
    """
    target = cached_path(named_set.name, cache_dir)
    if target.is_file():
        return target
    folder = target.parent / named_set.name
    folder.mkdir(parents=True, exist_ok=True)
    files = {file: _download(named_set, file, folder, mirror) for file in named_set.sha256}
    try:
        arrays = _READERS[named_set.name](files)
    except (OSError, EOFError, ValueError, KeyError, zlib.error, tarfile.TarError) as error:
        raise _bad_download(
            named_set, f"its files are not what they should be ({error})"
        ) from error
    if named_set.class_names:
        arrays["class_names"] = np.array(named_set.class_names)
    part = target.with_suffix(f".{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    for path in files.values():
        path.unlink()
    folder.rmdir()
    return target


def _download(named_set: NamedSet, file: str, folder: Path, mirror: str) -> Path:
    url = named_set.url(file, mirror)
    timeout_s = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALLED_AFTER_S)  # Keras's downloader would wait for ever
    try:
        path = get_file(
            file,
            origin=url,
            file_hash=named_set.sha256[file],
            hash_algorithm="sha256",
            cache_dir=str(folder),
            cache_subdir="",
        )
    except ValueError as error:  # Keras says so of a wrong digest, and leaves the file
        (folder / file).unlink(missing_ok=True)
        raise _bad_download(named_set, f"{url} has another content than is known") from error
    except Exception as error:  # Keras raises bare Exception where the server fails
        if isinstance(error.__context__, HTTPError):
            error.__context__.close()
        raise DatasetError(
            "no_download",
            f"The data set {named_set.name!r} cannot be fetched ({error}). Check the connection to "
            f"{url} and run again; without internet, set LACEWING_DATASETS_URL to a server that "
            f"has {named_set.name}/{file}, or pass pictures of your own.",
        ) from error
    finally:
        socket.setdefaulttimeout(timeout_s)
    return Path(path)


def _bad_download(named_set: NamedSet, what: str) -> DatasetError:
    return DatasetError(
        "bad_download",
        f"The data set {named_set.name!r} was not kept: {what}. Run again; if that does not help, "
        "the server has an incomplete or changed file.",
    )


def _read_mnist(files: Mapping[str, Path]) -> Arrays:
    with np.load(files["mnist.npz"], allow_pickle=False) as arrays:
        return {name: arrays[name] for name in ("x_train", "y_train", "x_test", "y_test")}


def _read_fashion_mnist(files: Mapping[str, Path]) -> Arrays:
    return {
        f"{letter}_{part}": _read_idx(files[f"{prefix}-{kind}-ubyte.gz"], dimensions)
        for part, prefix in (("train", "train"), ("test", "t10k"))
        for letter, kind, dimensions in (("x", "images-idx3", 3), ("y", "labels-idx1", 1))
    }


def _read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """Return the bytes of an IDX file (Y. LeCun, The MNIST database): header, then rows."""
    content = gzip.decompress(path.read_bytes())
    header = np.frombuffer(content[: IDX_HEADER_BYTES[dimensions]], ">u4")
    if header[0] != 0x800 + dimensions:  # 0x08: unsigned bytes
        raise ValueError(f"{path.name} begins with {header[0]:#x}")
    shape = tuple(int(size) for size in header[1:])
    return np.frombuffer(content, np.uint8, offset=IDX_HEADER_BYTES[dimensions]).reshape(shape)


def _read_cifar10(files: Mapping[str, Path]) -> Arrays:
    """Read the batches (A. Krizhevsky, 2009): a label, then 32 by 32 px, channel by channel."""
    with tarfile.open(files["cifar-10-binary.tar.gz"]) as archive:
        batches = {
            "train": [_cifar_rows(archive, f"data_batch_{number}") for number in range(1, 6)],
            "test": [_cifar_rows(archive, "test_batch")],
        }
    arrays: Arrays = {}
    for part, rows_of in batches.items():
        rows = np.concatenate(rows_of)
        pixels = rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        arrays[f"x_{part}"], arrays[f"y_{part}"] = pixels, rows[:, 0]
    return arrays


def _cifar_rows(archive: tarfile.TarFile, batch: str) -> npt.NDArray[np.uint8]:
    stream = archive.extractfile(f"cifar-10-batches-bin/{batch}.bin")
    if stream is None:
        raise ValueError(f"{batch} is no file")
    return np.frombuffer(stream.read(), np.uint8).reshape(-1, CIFAR_ROW_BYTES)


def _read_digits(files: Mapping[str, Path]) -> Arrays:
    """Read scikit-learn's copy of the UCI test set: 64 grey levels and the digit, a line each.

    It has no parts of its own; the last fifth becomes the test part.
    """
    lines = gzip.decompress(files["digits.csv.gz"].read_bytes()).decode().splitlines()
    rows = np.array([line.split(",") for line in lines], np.uint8)
    grey = np.round(rows[:, :-1] * (255 / DIGITS_MAXIMUM)).astype(np.uint8)
    pixels = grey.reshape(-1, DIGITS_SIDE_PX, DIGITS_SIDE_PX)
    start = len(rows) - len(rows) // DIGITS_TEST_SHARE
    return {
        "x_train": pixels[:start],
        "y_train": rows[:start, -1],
        "x_test": pixels[start:],
        "y_test": rows[start:, -1],
    }


_READERS: Mapping[str, Callable[[Mapping[str, Path]], Arrays]] = {
    "mnist": _read_mnist,
    "fashion_mnist": _read_fashion_mnist,
    "cifar10": _read_cifar10,
    "digits": _read_digits,
}


def main(arguments: Sequence[str]) -> int:
    """Fetch what the JSON in the first argument names; return the exit status, 2 for refusals."""
    asked = json.loads(arguments[0])
    try:
        fetch_sources(
            [Path(name) for name in asked["names"]],
            cache_dir=Path(asked["cache_dir"]),
            mirror=asked["mirror"],
        )
    except DatasetError as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
