"""`python -m benchmarks.architectures DIR...`: model versions as rows of a table.

Each DIR is a version as `retrain` writes it, with `model.keras`. Validation accuracy, which
chose the epoch, and test accuracy, looked at once, come from its report, with intervals at
95 % after Wilson; training seconds are those of its epochs. Multiply-adds are counted and the
time of a picture measured here, on one core.
"""

import argparse
import json
import os
import platform
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from ml.architectures import ARCHITECTURES  # registers what the networks are made of
from ml.artifact import NETWORK_NAME
from ml.cost import count_macs, ms_an_image
from ml.inference import Classifier
from ml.significance import wilson_interval

TIMED_PICTURES = 200
HEADINGS = (
    "version", "architecture", "validation", "test", "parameters", "million MACs", "file, MB",
    "ms an image", "training, s",
)  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", type=Path, nargs="+", metavar="DIR")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, load average {os.getloadavg()[0]:.1f}")
    print(f"| {' | '.join(HEADINGS)} |\n|{' --- |' * len(HEADINGS)}")
    for directory in arguments.versions:
        print(f"| {' | '.join(_cells(directory))} |", flush=True)


def _cells(directory: Path) -> tuple[str, ...]:
    classifier = Classifier.load(directory)
    metadata = classifier.metadata
    if metadata.architecture not in ARCHITECTURES:
        raise SystemExit(f"{directory} is of no architecture known here: {metadata.architecture}.")
    report: dict[str, Any] = json.loads((directory / "report.json").read_text())
    network = keras.models.load_model(directory / "model.keras", compile=False)
    history, test = report["history"], report["test"]
    validated = sum(counts["validation"] for counts in metadata.dataset["counts"].values())
    return (
        f"{directory.parent.name} {directory.name}",
        metadata.architecture,
        _share(max(row["val_accuracy"] for row in history), validated),
        _share(test["accuracy"], test["n"]),
        f"{metadata.parameters:,}",
        f"{count_macs(network, network.input_shape[1:]) / 1e6:,.2f}",
        f"{(directory / NETWORK_NAME).stat().st_size / 1e6:.2f}",
        f"{ms_an_image(classifier, n=TIMED_PICTURES):.2f}",
        f"{sum(row['seconds'] for row in history):.0f}",
    )


def _share(accuracy: float, n: int) -> str:
    low, high = wilson_interval(round(accuracy * n), n)
    return f"{accuracy:.2%} [{low * 100:.2f}, {high * 100:.2f}]"


if __name__ == "__main__":
    main()
