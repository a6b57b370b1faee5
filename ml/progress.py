"""Live bars: how far a long step has come, at what speed, and the time left."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

TERMINAL_INTERVAL_S = 0.2
PIPE_INTERVAL_S = 10.0  # between lines when nobody watches a terminal


def progress_bar(
    items: Iterable[Any] | None, title: str, total: int, *, show: bool = True
) -> "tqdm[Any]":
    """Return a bar over `items`, or one to `update` by hand where `items` is None."""
    return tqdm(
        items,
        title,
        total,
        unit="img",
        disable=not show,
        mininterval=TERMINAL_INTERVAL_S if sys.stderr.isatty() else PIPE_INTERVAL_S,
    )
