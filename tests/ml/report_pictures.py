"""A made-up version with its outputs: drawn pictures, some wrong labels, real findings."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from ml.calibration import softmax
from ml.comparison import compare
from ml.conformal import fit_thresholds
from ml.evaluation import evaluate
from ml.examples import Example
from ml.findings import ReportContents, gather
from ml.novelty import NoveltyModel
from ml.outputs import Outputs
from ml.splits import Split
from tests.networks import color_metadata

LABELS = ("circles", "crosses <&>", "squares", "stripes", "triangles")
HISTORY: list[dict[str, float | str]] = [
    {
        "phase": phase,
        "epoch": epoch,
        "loss": 1.2 / (epoch + 2 * refined),
        "accuracy": 0.95 - 0.4 / (epoch + 3 * refined),
        "val_loss": 1.3 / (epoch + 2 * refined),
        "val_accuracy": 0.9 - 0.4 / (epoch + 3 * refined),
        "seconds": 2.5,
    }
    for refined, (phase, epochs) in enumerate((("head", 6), ("refine", 8)))
    for epoch in range(1, epochs + 1)
]


def outputs(
    labels: Sequence[str], n: int, split: Split, *, seed: int, wrong: int = 0, hard: float = 1.0
) -> Outputs:
    """Return n pictures, spread over the classes; `wrong` of them carry a wrong label."""
    rng = np.random.default_rng(seed)
    classes = len(labels)
    shown = np.arange(n) % classes
    centres = np.random.default_rng(0).standard_normal((classes, 24))
    embeddings = 0.9 * centres[shown] + hard * rng.standard_normal((n, 24))
    logits = 0.35 * embeddings @ centres.T
    truth = shown.copy()
    rows = rng.choice(n, wrong, replace=False)
    truth[rows] = (shown[rows] + 1) % classes
    return Outputs(
        logits=logits.astype(np.float32),
        embeddings=embeddings.astype(np.float32),
        truth=truth.astype(np.int32),
        examples=tuple(
            Example(
                name=f"shapes/{labels[truth[row]]}/{split}-{row}-{shown[row]}.jpg",
                label=labels[truth[row]],
                sha256=f"{seed}-{row}",
                path=Path("/nowhere"),
                group=f"{seed}-{row}",
                split=split,
            )
            for row in range(n)
        ),
    )


def drawing_of(example: Example) -> npt.NDArray[np.uint8]:
    """Return the picture that the name promises, 64 px squared in colour."""
    _, row, shown = example.name.removesuffix(".jpg").rsplit("-", 2)
    rng = np.random.default_rng(int(row))
    paper, ink = (tuple(rng.integers(low, low + 90, 3).tolist()) for low in (150, 10))
    image = Image.new("RGB", (64, 64), paper)
    draw = ImageDraw.Draw(image)
    x, y = (int(v) for v in rng.integers(8, 20, 2))
    box = (x, y, x + 34, y + 34)
    kind = int(shown) % 5
    if kind == 0:
        draw.ellipse(box, fill=ink)
    elif kind == 1:
        draw.line(box, fill=ink, width=7)
        draw.line((x, y + 34, x + 34, y), fill=ink, width=7)
    elif kind == 2:
        draw.rectangle(box, fill=ink)
    elif kind == 3:
        for step in range(0, 36, 12):
            draw.rectangle((x, y + step, x + 34, y + step + 5), fill=ink)
    else:
        draw.polygon(((x, y + 34), (x + 17, y), (x + 34, y + 34)), fill=ink)
    return np.asarray(image)


@cache
def contents(
    labels: tuple[str, ...] = LABELS, *, n: int = 300, hard: float = 1.2
) -> ReportContents:
    """Return what is found in a version that makes mistakes, compared with a worse one."""
    train = outputs(labels, 4 * n, "train", seed=1, wrong=n // 25, hard=hard)
    validation = outputs(labels, n, "validation", seed=2, hard=hard)
    test = outputs(labels, n, "test", seed=3, wrong=n // 60, hard=hard)
    held_out = softmax(validation.logits)
    metadata = color_metadata(
        labels,
        config={"architecture": "mobilenet_v3_small", "batch_size": 32, "augmentation": "auto"},
        dataset={
            "fingerprint": "0f" * 32,
            "counts": {
                label: {"train": 4 * n // len(labels), "validation": n // 5, "test": n // 5}
                for label in labels
            },
            "sources": ["shapes"],
        },
        prediction_set_thresholds={
            f"{level:.2f}": threshold
            for level, threshold in fit_thresholds(held_out, validation.truth).items()
        },
    )
    probabilities = softmax(test.logits)
    old = softmax(test.logits + np.random.default_rng(4).normal(0, 2, test.logits.shape))
    return gather(
        metadata,
        train=train,
        validation=validation,
        test=test,
        picture_of=drawing_of,
        history=HISTORY,
        health_lines=["1,800 pictures", "2 files skipped: a<b>.jpg (not an image)"],
        novelty=NoveltyModel.fit(
            train.embeddings, train.truth, validation.embeddings, validation.logits
        ),
        incumbent=evaluate(old, test.truth, labels),
        comparison=compare(
            probabilities, old, test.truth, labels, [example.name for example in test.examples]
        ),
        notes=["Made for drawn shapes only."],
    )


def changed(**changes: Any) -> ReportContents:
    """Return the same with some fields replaced."""
    return replace(contents(), **changes)
