"""Labelled pictures as commands read them in this process, which must do without TensorFlow."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from ml.dataset import Dataset, load_dataset
from ml.errors import DatasetError
from ml.named_sets import NAMED_SETS, cached_path, located
from recognition.training_child import CHILD_ENVIRONMENT


def read_data_set(sources: Sequence[Path]) -> Dataset:
    """Read the sources of a `--data` as a training would, with a bar, and fetch named sets.

    Raises:
        DatasetError: what `ml.dataset` and `ml.downloads` refuse.
    """
    cache_dir = Path(settings.CACHE_DIR)
    known = [located(source) for source in sources]
    names = [str(source) for source in known if str(source) in NAMED_SETS]
    _fetch([name for name in names if not cached_path(name, cache_dir).is_file()], cache_dir)
    return load_dataset(
        [
            cached_path(str(source), cache_dir) if str(source) in NAMED_SETS else source
            for source in known
        ],
        unpack_dir=cache_dir / "unpacked",
    )


def _fetch(names: Sequence[str], cache_dir: Path) -> None:
    """Download in a child process, since Keras's downloader comes with TensorFlow."""
    if not names:
        return
    asked = {"names": names, "cache_dir": str(cache_dir), "mirror": settings.DATASETS_URL}
    child = subprocess.run(
        [sys.executable, "-m", "ml.downloads", json.dumps(asked)],
        cwd=settings.BASE_DIR,
        env=os.environ | CHILD_ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if child.returncode:
        raise DatasetError(
            "no_download",
            child.stderr.strip() or f"The download ended early (exit status {child.returncode}).",
        )
