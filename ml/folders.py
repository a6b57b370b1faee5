"""Folder-per-class: one folder for each label, the pictures directly inside."""

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ml.errors import DatasetError
from ml.health import SkippedFile
from ml.splits import SPLITS, Split

HIDDEN_NAMES = frozenset(
    {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir"}
)
NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledFile:
    """A picture file and what it shows: of a class folder, a manifest, a reviewed prediction."""

    path: Path
    label: str
    name: str
    """For people: `pests/ants/1.jpg`, `prediction <uuid>`."""
    splits: tuple[Split, ...] = SPLITS
    """Those that the source allows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderIndex:
    """The files of a dataset folder or manifest; nothing has been opened yet."""

    labels: tuple[str, ...]
    files: tuple[LabelledFile, ...]
    skipped: tuple[SkippedFile, ...]


def index_folder(root: Path, source: str, *, packed: bool = False) -> FolderIndex:
    """List the files of a folder with one folder for each class, in order of name.

    Hidden files (`.DS_Store`, `Thumbs.db`, `__MACOSX`) are ignored; files outside the class
    folders are listed as skipped.

    Args:
        source: what people call the folder; names begin with it.
        packed: the folder came out of a zip, so that its path means nothing to people.

    Raises:
        DatasetError: `no_class_folders`; `nested_folders`, naming what to pass instead.
    """
    folders, strays = _entries(root)
    if not folders:
        raise DatasetError(
            "no_class_folders",
            f"{source} contains {len(strays)} files and no folders. Lacewing expects one folder "
            f"for each class with its pictures inside: {source}/<class>/<picture>.",
        )
    nested = {folder: inner for folder in folders if (inner := _entries(folder)[0])}
    if nested:
        advice = _packing_advice(source) if packed else _moving_advice(folders, nested, strays)
        outer, inner = next(iter(nested.items()))
        raise DatasetError(
            "nested_folders",
            f"{source}/{readable_name(outer.name)} contains folders "
            f"({_listed(path.name for path in inner)}) where pictures are expected: "
            f"{source}/<class>/<picture>. {advice}.",
        )
    files = [
        LabelledFile(
            path=path,
            label=readable_name(folder.name),
            name="/".join((source, readable_name(folder.name), readable_name(path.name))),
        )
        for folder in folders
        for path in _entries(folder)[1]
    ]
    return FolderIndex(
        labels=tuple(sorted({readable_name(folder.name) for folder in folders})),
        files=tuple(sorted(files, key=lambda file: (file.label, file.name))),
        skipped=tuple(
            SkippedFile(name=f"{source}/{readable_name(path.name)}", reason="not in a class folder")
            for path in strays
        ),
    )


def without_wrapping(root: Path) -> tuple[Path, str]:
    """Return the only folder of `root` and its name where it merely wraps the class folders.

    Zips are usually made by packing a folder. Returns `(root, "")` where nothing wraps.
    """
    folders, strays = _entries(root)
    if len(folders) == 1 and not strays and _entries(folders[0])[0]:
        return folders[0], readable_name(folders[0].name)
    return root, ""


def is_hidden(name: str) -> bool:
    """Whether a file or folder is what systems leave beside people's pictures."""
    return name.startswith(".") or name.casefold() in HIDDEN_NAMES


def readable_name(name: str) -> str:
    """Return a name that can be printed and compared: NFC, no control characters.

    macOS decomposes accents and Linux does not; both name the same class.
    """
    text = unicodedata.normalize("NFC", os.fsencode(name).decode(errors="replace"))
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the visible folders and other files directly inside, each in order of name."""
    try:
        visible = sorted(path for path in folder.iterdir() if not is_hidden(path.name))
    except OSError as error:
        raise DatasetError(
            "unreadable_folder", f"{folder} cannot be listed: {error.strerror}."
        ) from error
    folders = [path for path in visible if path.is_dir()]
    return folders, [path for path in visible if not path.is_dir()]


def _packing_advice(source: str) -> str:
    return f"Make {source.partition('/')[0]} again from the folder that holds the class folders"


def _moving_advice(
    folders: Sequence[Path], nested: Mapping[Path, Sequence[Path]], strays: Sequence[Path]
) -> str:
    """Say what to pass where whole folders wrap the classes, or else what to move."""
    if len(nested) == len(folders) and not strays:
        if len(folders) == 1:
            return f"Pass {folders[0]} instead"
        return f"Pass one or more of {_listed(folders)}"
    outer, inner = next(iter(nested.items()))
    return (
        f"Move the pictures of {_listed(path.name for path in inner)} up into {outer}, or make "
        "each a class folder beside it"
    )


def _listed(things: Iterable[Path | str]) -> str:
    names = [readable_name(str(thing)) for thing in things]
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
