"""Labelled pictures as NumPy arrays in one `.npz`, the way MNIST and its likes are handed on."""

import hashlib
import math
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ml.archives import DAMAGED_ZIP
from ml.duplicates import FLAT_DEVIATION
from ml.errors import DatasetError
from ml.folders import readable_name
from ml.images import Pixels
from ml.splits import Part

MAX_ARRAYS_BYTES = 2 << 30  # 2 GiB for the four arrays, held in memory while training reads them
MAX_SIDE_PX = 20_000
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
NAMES_ARRAY = "class_names"  # optional: text (classes,), in the order of the class numbers
MAX_CLASSES = 100_000
PARTS: tuple[Part, ...] = ("train", "test")
GREY_DIMENSIONS = 3  # (n, height, width)
COLOR_DIMENSIONS = 4  # (n, height, width, channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class NpzRow:
    """One picture of the file."""

    part: Part
    index: int
    label: str
    sha256: str
    """Of its shape and bytes."""
    flat: bool
    """Nearly one colour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NpzPictures:
    """The arrays of one file, checked."""

    pixels: dict[Part, Pixels]
    """(n, height, width) or (n, height, width, 1 or 3) uint8, per part."""
    labels: dict[Part, npt.NDArray[np.int64]]
    """(n,) class numbers, per part."""
    class_names: tuple[str, ...] | None = None
    """By class number, where the file says them."""

    def rows(self) -> Iterator[NpzRow]:
        """Yield every picture of both parts; labels are class names, or numbers as text."""
        for part in PARTS:
            pixels = self.pixels[part]
            shape = ",".join(map(str, pixels.shape[1:])).encode()
            flat = _flat(pixels)
            for index, number in enumerate(self.labels[part].tolist()):
                digest = hashlib.sha256(shape)
                digest.update(pixels[index].tobytes())
                yield NpzRow(
                    part=part,
                    index=index,
                    label=self.class_names[number] if self.class_names else str(number),
                    sha256=digest.hexdigest(),
                    flat=bool(flat[index]),
                )

    def picture(self, part: Part, index: int) -> Pixels:
        """Return one picture as (height, width, 3) uint8."""
        pixels = self.pixels[part][index]
        if pixels.ndim == GREY_DIMENSIONS - 1:
            pixels = pixels[:, :, None]
        return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


_reading = threading.Lock()


def read_npz(path: Path) -> NpzPictures:
    """Read and check the arrays of an `.npz`; the two read last stay in memory.

    Safe to call from several threads; a file that has changed on disk is read again.

    Raises:
        DatasetError: `bad_npz`, naming the array, what it is and what it should be;
            `npz_too_large` above 2 GiB.
    """
    try:
        status = path.stat()
        with _reading:  # two threads would otherwise read the same file twice
            return _read(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise DatasetError(
            "bad_npz", f"{path.name} cannot be read: {error.strerror or error}."
        ) from error


@lru_cache(maxsize=2)
def _read(path: Path, mtime_ns: int, size_bytes: int) -> NpzPictures:
    try:
        with zipfile.ZipFile(path) as zipped:
            _check_members(path.name, zipped)
            arrays = {name: _read_array(path.name, zipped, name) for name in ARRAYS}
            names = (
                _read_array(path.name, zipped, NAMES_ARRAY)
                if f"{NAMES_ARRAY}.npy" in zipped.namelist()
                else None
            )
    except DAMAGED_ZIP as error:
        raise DatasetError("bad_npz", f"{path.name} is not a whole .npz file: {error}.") from error
    pixels: dict[Part, Pixels] = {}
    labels: dict[Part, npt.NDArray[np.int64]] = {}
    for part in PARTS:
        pixels[part] = _checked_pixels(path.name, f"x_{part}", arrays[f"x_{part}"])
        labels[part] = _checked_labels(
            path.name, f"y_{part}", arrays[f"y_{part}"], len(pixels[part])
        )
    if pixels["train"].shape[1:] != pixels["test"].shape[1:]:
        raise _bad(
            path.name,
            f"x_train has pictures of shape {pixels['train'].shape[1:]} and x_test of "
            f"{pixels['test'].shape[1:]}; they must be the same",
        )
    class_names = None if names is None else _checked_names(path.name, names, labels)
    return NpzPictures(pixels=pixels, labels=labels, class_names=class_names)


def _check_members(file: str, zipped: zipfile.ZipFile) -> None:
    members = {entry.filename: entry for entry in zipped.infolist()}
    missing = [name for name in ARRAYS if f"{name}.npy" not in members]
    if missing:
        raise _bad(
            file,
            f"it lacks {', '.join(missing)} and holds {', '.join(sorted(members)) or 'nothing'}; "
            f"expected are the arrays {', '.join(ARRAYS)}",
        )
    wanted = [members[f"{name}.npy"] for name in (*ARRAYS, NAMES_ARRAY) if f"{name}.npy" in members]
    total_bytes = sum(entry.file_size for entry in wanted)
    if total_bytes > MAX_ARRAYS_BYTES:
        raise DatasetError(
            "npz_too_large",
            f"{file} holds arrays of {total_bytes:,} bytes; {MAX_ARRAYS_BYTES:,} are allowed. "
            "Save the pictures as files, one folder for each class.",
        )
    if any(entry.flag_bits & 0x1 for entry in wanted):
        raise _bad(file, "it is encrypted")


def _read_array(file: str, zipped: zipfile.ZipFile, name: str) -> npt.NDArray[Any]:
    """Read one array, its header first: that alone says how much memory NumPy will ask for."""
    entry = zipped.getinfo(f"{name}.npy")
    try:
        with zipped.open(entry) as stream:
            shape, dtype = _read_header(stream)
        if dtype.hasobject:
            raise _bad(file, f"{name} holds Python objects, which are never read; {_wanted(name)}")
        if math.prod(shape) * dtype.itemsize > entry.file_size:
            raise _bad(file, f"{name} says it is larger than it is; make the file again")
        with zipped.open(entry) as stream:
            array: npt.NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    except DatasetError:
        raise
    except ValueError as error:
        raise _bad(file, f"{name} is not a whole array ({error}); {_wanted(name)}") from error
    return array


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"format version {version} is not read")
    return shape, dtype


def _checked_pixels(file: str, name: str, array: npt.NDArray[Any]) -> Pixels:
    is_grey = array.ndim == GREY_DIMENSIONS
    is_color = array.ndim == COLOR_DIMENSIONS and array.shape[3] in (1, 3)
    if array.dtype != np.uint8 or not (is_grey or is_color):
        raise _bad(file, f"{name} is {array.dtype} {array.shape}; {_wanted(name)}")
    if not all(0 < side <= MAX_SIDE_PX for side in array.shape[1:3]) or not len(array):
        raise _bad(file, f"{name} is {array.shape}: no side may be 0 or above {MAX_SIDE_PX:,}")
    pixels: Pixels = array
    pixels.setflags(write=False)  # shared by every reader
    return pixels


def _checked_labels(
    file: str, name: str, array: npt.NDArray[Any], pictures: int
) -> npt.NDArray[np.int64]:
    if array.ndim == 2 and array.shape[1] == 1:  # as CIFAR's labels come
        array = array[:, 0]
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise _bad(file, f"{name} is {array.dtype} {array.shape}; {_wanted(name)}")
    if len(array) != pictures:
        raise _bad(file, f"{name} has {len(array):,} labels for {pictures:,} pictures")
    if int(array.min()) < 0 or int(array.max()) > np.iinfo(np.int64).max:
        raise _bad(file, f"{name} has labels from {array.min()} on; they must be 0 or more")
    return array.astype(np.int64)


def _checked_names(
    file: str, array: npt.NDArray[Any], labels: dict[Part, npt.NDArray[np.int64]]
) -> tuple[str, ...]:
    if array.dtype.kind != "U" or array.ndim != 1 or len(array) > MAX_CLASSES:
        raise _bad(file, f"{NAMES_ARRAY} is {array.dtype} {array.shape}; {_wanted(NAMES_ARRAY)}")
    names = tuple(readable_name(name).strip() for name in array.tolist())
    highest = max(int(numbers.max()) for numbers in labels.values())
    if highest >= len(names):
        raise _bad(file, f"{NAMES_ARRAY} has {len(names)} names, and labels go up to {highest}")
    if len(set(names)) < len(names) or not all(names):
        raise _bad(file, f"{NAMES_ARRAY} has an empty name or one twice: {', '.join(names)}")
    return names


def _flat(pixels: Pixels) -> npt.NDArray[np.bool_]:
    """Return (n,): whether no value of a picture is far from its others."""
    values = pixels.reshape(len(pixels), -1)
    spread = values.max(axis=1).astype(np.int16) - values.min(axis=1)
    flat: npt.NDArray[np.bool_] = spread < 2 * FLAT_DEVIATION
    return flat


def _wanted(name: str) -> str:
    if name == NAMES_ARRAY:
        return "expected is text (classes,)"
    if name.startswith("x"):
        return "expected is uint8 (n, height, width) or (n, height, width, 1 or 3)"
    return "expected are whole numbers (n,)"


def _bad(file: str, what: str) -> DatasetError:
    return DatasetError("bad_npz", f"{file}: {what}.")
