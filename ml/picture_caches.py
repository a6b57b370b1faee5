"""Which caches of decoded pictures hold which picture, so that a deleted one can leave them.

Beside each cache lies a list of the names of its pictures. Needs no TensorFlow.
"""

from collections.abc import Collection, Iterable
from pathlib import Path

CACHE_PATTERN = "pictures-*.npy"


def names_path(cache: Path) -> Path:
    """Return where the names of a cache's pictures stand, one a line."""
    return cache.with_suffix(".names")


def write_names(cache: Path, names: Iterable[str]) -> None:
    """Write the names of a cache's pictures; before the cache itself, so that none is without."""
    lines = "".join(f"{' '.join(name.split())}\n" for name in names)
    names_path(cache).write_text(lines, encoding="utf-8")


def caches_with(cache_dir: Path, names: Collection[str]) -> list[Path]:
    """Return the caches that hold one of the pictures, or do not say what they hold."""
    wanted = set(names)
    return [path for path in sorted(cache_dir.glob(CACHE_PATTERN)) if _may_hold(path, wanted)]


def drop_cache(cache: Path) -> None:
    """Delete a cache and its names. A training that reads it keeps what it has mapped."""
    cache.unlink(missing_ok=True)
    names_path(cache).unlink(missing_ok=True)


def _may_hold(cache: Path, wanted: set[str]) -> bool:
    try:
        with names_path(cache).open(encoding="utf-8") as lines:
            return any(line.rstrip("\n") in wanted for line in lines)
    except FileNotFoundError:
        return True  # made before caches had names, or dropped meanwhile
