"""Pictures and archives for the tests of datasets, made in memory."""

import io
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

Entry = tuple[str, bytes]


def photo(seed: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Return coarse random colours, smoothly enlarged: seeds look different from one another."""
    colors = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return Image.fromarray(colors).resize(size, Image.Resampling.BICUBIC)


def file_of(picture: Image.Image, image_format: str = "PNG", **options: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, image_format, **options)
    return stream.getvalue()


def png(seed: int, size: tuple[int, int] = (64, 48)) -> bytes:
    return file_of(photo(seed, size))


def write_classes(root: Path, classes: Mapping[str, Iterable[int]]) -> Path:
    """Write one folder for each class with a PNG for each seed, named by it."""
    for label, seeds in classes.items():
        (root / label).mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            (root / label / f"{seed}.png").write_bytes(png(seed))
    return root


def write_zip(path: Path, entries: Iterable[Entry]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in entries:
            zipped.writestr(name, content)
    return path


def files_under(folder: Path) -> list[str]:
    """Return every file below, but for the lock that says who unpacks."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.name != ".lock" and not path.is_dir()
    )
