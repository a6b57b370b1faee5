"""Zips of pictures, unpacked as if a stranger had made them."""

import fcntl
import hashlib
import re
import shutil
import stat
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ml.errors import DatasetError
from ml.folders import is_hidden

MAX_ENTRIES = 100_000
MAX_UNPACKED_BYTES = 1 << 30  # 1 GiB, counted while writing
MAX_RATIO = 100  # unpacked to packed; pictures are packed already and stay near 1
RATIO_FROM_BYTES = 1 << 20  # below it a blank drawing may well shrink a hundredfold
MAX_NAME_BYTES = 255  # of one folder or file name, the limit of common file systems
CHUNK_BYTES = 1 << 16
ARCHIVE_SUFFIXES = frozenset(
    {".zip", ".npz", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".7z", ".rar", ".zst"}
)
# The others inflate without a bound on memory in the standard library.
METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})

_DRIVE = re.compile(r"^[A-Za-z]:")
_STAGING_PREFIX = ".unpacking-"

DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeError)
"""What `zipfile` raises for a file that is no whole zip."""


def unpack_zip(archive: Path, unpack_dir: Path) -> Path:
    """Unpack a zip into `unpack_dir/<SHA-256 of the zip>` and return that folder.

    A zip that is unpacked already is not unpacked again. Everything is written to a folder
    beside and renamed at the end: on failure nothing is left behind. Hidden files such as
    `__MACOSX` are not written.

    Raises:
        DatasetError: naming the entry, with code `unsafe_entry` (`..`, absolute, drive letter,
            backslash), `special_entry` (symbolic link, device), `encrypted_entry`,
            `clashing_entries` (twice, or the same but for case), `nested_archive`, `zip_bomb`
            (over 1 GiB, or over 100 times its packed size), `too_many_entries`,
            `unsupported_entry` (a compression other than deflate); also `bad_zip` and
            `cannot_unpack` (the disk is full).
    """
    try:
        unpack_dir.mkdir(parents=True, exist_ok=True)
        with archive.open("rb") as file:
            target = unpack_dir / hashlib.file_digest(file, "sha256").hexdigest()
        with _alone(unpack_dir):
            if not target.is_dir():
                _unpack(archive, target)
    except DAMAGED_ZIP as error:
        raise DatasetError(
            "bad_zip", f"{archive.name} is not a whole zip file: {error}. Make it again."
        ) from error
    except OSError as error:
        raise DatasetError(
            "cannot_unpack", f"{archive.name} cannot be unpacked: {error.strerror or error}."
        ) from error
    return target


@contextmanager
def _alone(unpack_dir: Path) -> Iterator[None]:
    """Hold the folder for one process, and clear what a killed one left in it."""
    with (unpack_dir / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in unpack_dir.glob(f"{_STAGING_PREFIX}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield


def _unpack(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as zipped:
        entries = _checked_entries(archive.name, zipped.infolist())
        staging = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=target.parent))
        try:
            _write_entries(archive.name, zipped, entries, staging)
            staging.rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _write_entries(
    archive: str,
    zipped: zipfile.ZipFile,
    entries: Sequence[tuple[zipfile.ZipInfo, PurePosixPath]],
    staging: Path,
) -> None:
    total_bytes = 0
    for entry, name in entries:
        path = staging / name
        if entry.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        entry_bytes = 0
        with zipped.open(entry) as packed, path.open("xb") as unpacked:
            while chunk := packed.read(CHUNK_BYTES):
                entry_bytes += len(chunk)
                total_bytes += len(chunk)
                _check_growth(archive, name, entry, entry_bytes, total_bytes)
                unpacked.write(chunk)


def _check_growth(
    archive: str, name: PurePosixPath, entry: zipfile.ZipInfo, entry_bytes: int, total_bytes: int
) -> None:
    """Refuse a bomb by the bytes that come out; declared sizes may lie."""
    if total_bytes > MAX_UNPACKED_BYTES:
        raise DatasetError(
            "zip_bomb",
            f"{archive} unpacks to more than {MAX_UNPACKED_BYTES:,} bytes (at entry "
            f"{str(name)!r}). Split it into smaller zips, or pass the unpacked folder.",
        )
    if entry_bytes > RATIO_FROM_BYTES and entry_bytes > MAX_RATIO * entry.compress_size:
        raise DatasetError(
            "zip_bomb",
            f"{archive}: entry {str(name)!r} unpacks to more than {MAX_RATIO} times its packed "
            f"size of {entry.compress_size:,} bytes, which no picture does. Leave it out.",
        )


def _checked_entries(
    archive: str, entries: Sequence[zipfile.ZipInfo]
) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Return the entries to write with their names; every entry is checked, hidden ones too."""
    if len(entries) > MAX_ENTRIES:
        raise DatasetError(
            "too_many_entries",
            f"{archive} has {len(entries):,} entries, from {entries[MAX_ENTRIES].filename!r} on "
            f"more than the {MAX_ENTRIES:,} allowed. Split it into several zips.",
        )
    checked = []
    names = _Names(archive)
    for entry in entries:
        name = _checked_name(archive, entry)
        _check_kind(archive, name, entry)
        names.add(name, is_folder=entry.is_dir())
        if any(is_hidden(part) for part in name.parts):
            continue
        if name.suffix.lower() in ARCHIVE_SUFFIXES and not entry.is_dir():
            raise DatasetError(
                "nested_archive",
                f"{archive}: entry {str(name)!r} is an archive itself. Unpack it, or pass it as a "
                "source of its own.",
            )
        checked.append((entry, name))
    return checked


def _checked_name(archive: str, entry: zipfile.ZipInfo) -> PurePosixPath:
    """Return the entry's path, or refuse one that could lead out of the folder."""
    # The name as stored: ZipInfo.filename is cut at a NUL already.
    name = _decoded(entry.orig_filename, entry.flag_bits)
    parts = name.removesuffix("/").split("/")
    if (
        "\\" in name
        or "\0" in name
        or _DRIVE.match(name)
        or any(part in ("", ".", "..") for part in parts)
        or any(len(part.encode()) > MAX_NAME_BYTES for part in parts)
    ):
        raise DatasetError(
            "unsafe_entry",
            f"{archive}: entry {entry.orig_filename!r} has a name that is not a plain relative "
            "path (no '..', leading '/', drive letter, backslash or empty part; at most "
            f"{MAX_NAME_BYTES} bytes a part). Make the zip again from a folder of class folders.",
        )
    return PurePosixPath(*parts)


def _decoded(name: str, flag_bits: int) -> str:
    """Undo the guess of code page 437 for tools that write UTF-8 without saying so (macOS)."""
    if flag_bits & 0x800:
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _check_kind(archive: str, name: PurePosixPath, entry: zipfile.ZipInfo) -> None:
    mode = stat.S_IFMT(entry.external_attr >> 16)
    if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "not a plain file"
        raise DatasetError(
            "special_entry",
            f"{archive}: entry {str(name)!r} is {kind}. Put the picture itself into the zip.",
        )
    if entry.flag_bits & 0x1:
        raise DatasetError(
            "encrypted_entry",
            f"{archive}: entry {str(name)!r} is encrypted. Make the zip without a password.",
        )
    if entry.compress_type not in METHODS:
        raise DatasetError(
            "unsupported_entry",
            f"{archive}: entry {str(name)!r} is packed with method {entry.compress_type}; only "
            "stored and deflated entries are read. Make the zip with default settings.",
        )


class _Names:
    """The paths of the entries so far, as systems without case would write them."""

    def __init__(self, archive: str) -> None:
        self._archive = archive
        self._written: dict[str, PurePosixPath] = {}
        self._entries: set[str] = set()
        self._files: set[str] = set()

    def add(self, name: PurePosixPath, *, is_folder: bool) -> None:
        """Take in an entry, or refuse it as clashing with an earlier one."""
        for path in (*name.parents[:-1], name):
            folded = _folded(path)
            written = self._written.get(folded, path)
            if written != path:
                raise DatasetError(
                    "clashing_entries",
                    f"{self._archive}: entries {str(written)!r} and {str(path)!r} differ in case "
                    "or accents only. Rename one.",
                )
            within_file = folded in self._files
            repeated = path is name and (
                folded in self._entries or (not is_folder and folded in self._written)
            )
            if within_file or repeated:
                raise DatasetError(
                    "clashing_entries",
                    f"{self._archive}: entry {str(path)!r} is there twice. Leave one out.",
                )
            self._written[folded] = path
        self._entries.add(_folded(name))
        if not is_folder:
            self._files.add(_folded(name))


def _folded(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())
