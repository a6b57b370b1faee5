"""`python -m benchmarks.novelty --data DIR`: what is strange refused, what is known kept.

DIR holds the folders `pests` and `mushrooms` and the file `mnist.npz`. Each shipped
recognizer sees its own test pictures and pictures of what it does not know: those of the
others, letters and noise. A version without prediction sets or novelty gets them here, fitted
as a training would. Prints, for each kind, the area under the ROC curve against the known
test pictures and the share refused, at the version's threshold and where exactly 5 % of the
known test pictures are.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.letters import LOOKALIKES, draw_letters
from benchmarks.server import PROJECT
from ml.calibration import softmax
from ml.conformal import fit_thresholds, judge_sets
from ml.dataset import Dataset, Example, Split, load_dataset, read_known_splits, read_pixels
from ml.inference import Classifier
from ml.novelty import NoveltyModel

SOURCES = {"digits": "mnist.npz", "mushrooms": "mushrooms", "pests": "pests"}
MAX_PICTURES = {"train": 10_000, "validation": 4_000, "test": 4_000, "strange": 500}
LETTERS = 1_500
KNOWN_REFUSED = 0.05

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Picture = Callable[[], Pixels]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a classifier says of n pictures."""

    logits: Floats
    embeddings: Floats


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--versions", type=Path, default=PROJECT / "ml" / "pretrained")
    parser.add_argument("--recognizers", nargs="+", default=list(SOURCES), choices=list(SOURCES))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lacewing-novelty-") as folder:
        datasets = {
            slug: _dataset(arguments.data / source, arguments.versions / slug, Path(folder))
            for slug, source in SOURCES.items()
        }
    for slug in arguments.recognizers:
        _measure(slug, Classifier.load(arguments.versions / slug), datasets)


def _dataset(source: Path, version: Path, unpack_dir: Path) -> Dataset:
    """Load a data set with the splits that the version was trained with."""
    return load_dataset(
        [source],
        unpack_dir=unpack_dir,
        known_splits=read_known_splits(version / "examples.csv.gz"),
        progress=False,
    )


def _measure(slug: str, classifier: Classifier, datasets: dict[str, Dataset]) -> None:
    dataset = datasets[slug]
    seen, truth = {}, {}
    is_whole = classifier.novelty_model and classifier.metadata.prediction_set_thresholds
    splits: tuple[Split, ...] = ("test",) if is_whole else ("train", "validation", "test")
    for split in splits:
        examples = _sample(dataset.of_split(split), MAX_PICTURES[split])
        seen[split] = _see(classifier, map(_picture, examples))
        truth[split] = np.array([classifier.labels.index(e.label) for e in examples])
    temperature = classifier.metadata.temperature
    thresholds = {
        float(level): threshold
        for level, threshold in classifier.metadata.prediction_set_thresholds.items()
    } or fit_thresholds(softmax(seen["validation"].logits, temperature), truth["validation"])
    print(f"\n{slug}: {len(truth['test'])} known test pictures")
    sets = judge_sets(softmax(seen["test"].logits, temperature), truth["test"], thresholds)
    for level, quality in sets.items():
        print(
            f"  sets at {level:.0%}: right class in {quality.coverage:.1%}, "
            f"{quality.mean_size:.2f} classes on average, {quality.single:.0%} name one only"
        )
    novelty = classifier.novelty_model or NoveltyModel.fit(
        seen["train"].embeddings,
        truth["train"],
        seen["validation"].embeddings,
        seen["validation"].logits / temperature,
    )
    known = novelty.score(seen["test"].embeddings, seen["test"].logits / temperature)
    strict = float(np.quantile(known, 1 - KNOWN_REFUSED))
    print(f"  known refused: {(known > novelty.threshold).mean():.1%}")
    print(f"  {'shown':24}{'n':>6}{'AUROC':>8}{'refused':>9}{'at 5 %':>9}")
    for name, pictures in _strange(slug, datasets).items():
        strange = _see(classifier, pictures)
        scores = novelty.score(strange.embeddings, strange.logits / temperature)
        print(
            f"  {name:24}{len(scores):>6}{auroc(known, scores):>8.3f}"
            f"{(scores > novelty.threshold).mean():>9.1%}{(scores > strict).mean():>9.1%}"
        )


def auroc(known: Floats, strange: Floats) -> float:
    """Return the chance that a strange picture scores higher than a known one; ties count half."""
    _, rank, count = np.unique(
        np.concatenate([known, strange]), return_inverse=True, return_counts=True
    )
    mean_rank = (np.cumsum(count) - (count - 1) / 2)[rank]
    least = len(strange) * (len(strange) + 1) / 2
    return float((mean_rank[len(known) :].sum() - least) / (len(known) * len(strange)))


def _strange(slug: str, datasets: dict[str, Dataset]) -> dict[str, list[Picture]]:
    """Return what the recognizer does not know, by kind."""
    kinds = {
        other: [_picture(e) for e in _sample(dataset.of_split("test"), MAX_PICTURES["strange"])]
        for other, dataset in datasets.items()
        if other != slug
    }
    letters, drawn = draw_letters(LETTERS, seed=0)
    alike = [letter in LOOKALIKES for letter in letters]
    kinds["letters"] = [_held(p) for p, is_alike in zip(drawn, alike, strict=True) if not is_alike]
    kinds["letters like digits"] = [
        _held(p) for p, is_alike in zip(drawn, alike, strict=True) if is_alike
    ]
    kinds["noise"] = [_held(pixels) for pixels in make_noise(250, seed=0)]
    return kinds


def make_noise(n: int, seed: int) -> list[Pixels]:
    """Return n pictures of nothing, uint8 (192, 192, 3): grain, clouds and plain colours."""
    rng = np.random.default_rng(seed)
    pictures = []
    for index in range(n):
        cells = (192, int(rng.choice([4, 8, 16, 32, 64])), 1)[index % 3]
        grain = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        pictures.append(np.asarray(grain.resize((192, 192), Image.Resampling.BICUBIC)))
    return pictures


def _sample(examples: Sequence[Example], n: int) -> list[Example]:
    order = np.random.default_rng(0).permutation(len(examples))[:n]
    return [examples[index] for index in order]


def _picture(example: Example) -> Picture:
    return lambda: read_pixels(example)


def _held(pixels: Pixels) -> Picture:
    return lambda: pixels


def _see(classifier: Classifier, pictures: Iterable[Picture]) -> Seen:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda read: classifier.classify_picture(read()), pictures))
    return Seen(
        logits=np.stack([result.logits for result in results]),
        embeddings=np.stack([result.embedding for result in results]),
    )


if __name__ == "__main__":
    main()
