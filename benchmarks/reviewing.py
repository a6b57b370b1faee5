"""Is a doubtful picture worth more? `python -m benchmarks.reviewing --data DIR --cache DIR`.

Simulated reviewing. A share of the training pictures' labels is hidden, by the hash of each
picture's group and the seed. A version learns from the others; the hidden pictures are then
"uploaded", 200 are reviewed, a second version learns from those too, and both are compared on
the frozen test pictures as the gate compares them. Once the 200 are the ones that the queue of
doubtful pictures hands out (`ml.diversity`), once they are drawn at random, all else equal; the
difference in test accuracy is taken pair by pair over the seeds.

To be affordable each version is a new head on the frozen backbone: trained by the recipe of
`--quick`, or with `--head linear` fitted in closed form (`ml.heads`), on embeddings that are
computed once and kept in the cache. Reviewers make no mistakes.
"""

import argparse
import hashlib
import json
import math
import statistics
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Final

import numpy as np
import numpy.typing as npt

from ml.architectures import build_network
from ml.architectures.weights import parse_weights
from ml.calibration import fit_temperature, softmax
from ml.comparison import Comparison, compare
from ml.config import TrainingConfig
from ml.dataset import Dataset, Split, load_dataset
from ml.diversity import Point, pick
from ml.features import FEATURES_NAME, head_features
from ml.fitting import TrainingData
from ml.heads import Condenser, LinearHead
from ml.pipeline import cache_pictures
from ml.plan import make_plan
from ml.sketch import sketch
from ml.training import train
from ml.training_options import TrainingOptions

REVIEWS: Final = 200
CANDIDATES: Final = 256  # the smallest margins, among which the queue spreads
REMEMBERED: Final = 32  # of the reviews before, from which it keeps its distance
SETTINGS: Final = {"15 % hidden": 0.15, "85 % hidden": 0.85, "95 % hidden": 0.95}
# Two-sided 95 % quantiles of Student's t by degrees of freedom; the normal one from 30 on.
STUDENT: Final = {
    4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262, 10: 2.228, 11: 2.201, 12: 2.179,
    13: 2.160, 14: 2.145, 15: 2.131, 16: 2.120, 17: 2.110, 18: 2.101, 19: 2.093,
}  # fmt: skip

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]
Head = Callable[[Floats], Floats]
"""From embeddings (n, depth) to logits (n, classes)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """Embeddings and class indices of one split."""

    embeddings: Floats
    truth: npt.NDArray[np.int32]
    groups: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One seed of one setting."""

    learned: int
    hidden: int
    before: float
    doubtful: float
    random: float
    doubtful_corrected: int
    random_corrected: int
    doubtful_verdict: str
    random_verdict: str


class Simulation:
    """The pictures, seen once by the frozen backbone."""

    def __init__(
        self, dataset: Dataset, options: TrainingOptions, cache_dir: Path, *, linear: bool
    ) -> None:
        self._train_head = self._linear_head if linear else self._recipe_head
        plan = make_plan(dataset, options)
        self.labels = dataset.labels
        self.config: TrainingConfig = plan.config
        self._side_px = plan.preprocessing.height_px
        self.features: dict[Split, Features] = {}
        network = build_network(
            self.config.architecture,
            (self._side_px, self._side_px, 3),
            len(self.labels),
            parse_weights(self.config.weights),
        )
        cache = cache_pictures(dataset, plan.preprocessing, cache_dir=cache_dir)
        for split in ("train", "validation", "test"):
            examples = dataset.of_split(split)
            pictures, truth = cache.of(examples)
            home = cache_dir / f"reviewing-{dataset.fingerprint[:16]}-{self._side_px}-{split}"
            home.mkdir(exist_ok=True)
            embeddings, _one = head_features(network, pictures, pictures[:1], workspace=home)
            self.features[split] = Features(
                embeddings=embeddings,
                truth=truth,
                groups=tuple(example.group for example in examples),
                names=tuple(example.name for example in examples),
            )

    def play(self, share: float, seed: int) -> Round:
        """Hide labels, learn, review 200 in both ways, learn again, compare."""
        known = self.features["train"]
        hidden = np.flatnonzero([_is_hidden(group, share, seed) for group in known.groups])
        learned = np.setdiff1d(np.arange(len(known.truth)), hidden)
        head, temperature = self._learn(learned, seed)
        before = self._test_probabilities(head, temperature)
        uploads = self._probabilities(head, temperature, known.embeddings[hidden])
        chosen = {
            "doubtful": hidden[doubtful(uploads, known.embeddings[hidden], REVIEWS)],
            "random": np.random.default_rng(seed).permutation(hidden)[:REVIEWS],
        }
        guesses = dict(zip(hidden.tolist(), uploads.argmax(axis=1).tolist(), strict=True))
        after: dict[str, Comparison] = {}
        corrected = {}
        for way, reviewed in chosen.items():
            new_head, new_temperature = self._learn(np.concatenate([learned, reviewed]), seed)
            after[way] = compare(
                self._test_probabilities(new_head, new_temperature),
                before,
                self.features["test"].truth,
                self.labels,
                self.features["test"].names,
            )
            corrected[way] = sum(guesses[row] != known.truth[row] for row in reviewed.tolist())
        return Round(
            learned=len(learned),
            hidden=len(hidden),
            before=after["random"].old_accuracy,
            doubtful=after["doubtful"].new_accuracy,
            random=after["random"].new_accuracy,
            doubtful_corrected=int(corrected["doubtful"]),
            random_corrected=int(corrected["random"]),
            doubtful_verdict=after["doubtful"].verdict,
            random_verdict=after["random"].verdict,
        )

    def _learn(self, rows: Indices, seed: int) -> tuple[Head, float]:
        """Train a head on some training pictures; return it and its temperature."""
        head = self._train_head(rows, seed)
        validation = self.features["validation"]
        return head, fit_temperature(head(validation.embeddings), validation.truth)

    def _linear_head(self, rows: Indices, seed: int) -> Head:
        known = self.features["train"]
        embeddings, truth = known.embeddings[rows], known.truth[rows].astype(np.intp)
        condenser = Condenser.fit(embeddings, seed=seed)
        fitted = LinearHead.fit(condenser.apply(embeddings), truth, len(self.labels))
        return lambda seen: fitted.logits(condenser.apply(seen)).astype(np.float32)

    def _recipe_head(self, rows: Indices, seed: int) -> Head:
        known, validation = self.features["train"], self.features["validation"]
        with tempfile.TemporaryDirectory(prefix="lacewing-reviewing-") as folder:
            workspace = Path(folder)
            # What lies there is not computed again: the pictures themselves are not needed.
            np.savez(
                workspace / FEATURES_NAME,
                allow_pickle=False,
                train=known.embeddings[rows],
                validation=validation.embeddings,
            )
            blank = np.zeros((1, self._side_px, self._side_px, 3), np.uint8)
            data = TrainingData(
                labels=self.labels,
                train=np.broadcast_to(blank, (len(rows), *blank.shape[1:])),
                train_truth=known.truth[rows],
                validation=np.broadcast_to(blank, (len(validation.truth), *blank.shape[1:])),
                validation_truth=validation.truth,
            )
            config = TrainingConfig.from_dict(self.config.to_dict() | {"seed": seed})
            trained = train(data, config, workspace=workspace, progress=False)
        layer = trained.network.get_layer("head")
        return lambda seen: np.asarray(layer.predict(seen, batch_size=1024, verbose=0), np.float32)

    def _test_probabilities(self, head: Head, temperature: float) -> Floats:
        return self._probabilities(head, temperature, self.features["test"].embeddings)

    @staticmethod
    def _probabilities(head: Head, temperature: float, embeddings: Floats) -> Floats:
        return softmax(head(embeddings), temperature)


def doubtful(probabilities: Floats, embeddings: Floats, count: int) -> Indices:
    """Return the positions that the queue of doubtful pictures hands out, one by one.

    As in the admin: among the smallest margins that wait, the next is the one that `pick`
    takes, at a distance from the reviews before it.
    """
    ranked = np.sort(probabilities, axis=1)
    margins = ranked[:, -1] - ranked[:, -2]
    points = [
        Point(margin=float(margin), space=0, sketch=sketch(embedding))
        for margin, embedding in zip(margins, embeddings, strict=True)
    ]
    waiting = np.argsort(margins, kind="stable").tolist()
    seen: deque[Point] = deque(maxlen=REMEMBERED)
    picked: list[int] = []
    while waiting and len(picked) < count:
        pool = waiting[:CANDIDATES]
        (index,) = pick([points[row] for row in pool], list(seen), 1)
        waiting.remove(pool[index])
        seen.append(points[pool[index]])
        picked.append(pool[index])
    return np.array(picked, np.intp)


def difference(rounds: Sequence[Round]) -> tuple[float, float, float]:
    """Return the mean of doubtful less random in test accuracy, and its 95 % interval."""
    differences = [one.doubtful - one.random for one in rounds]
    mean, n = statistics.mean(differences), len(differences)
    quantile = STUDENT.get(n - 1, NormalDist().inv_cdf(0.975))
    half = quantile * statistics.stdev(differences) / math.sqrt(n)
    return mean, mean - half, mean + half


def main() -> None:
    """Play what is asked and print the differences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of classes")
    parser.add_argument("--weights", default="imagenet", help="of mobilenet_v2; or a file")
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seeds", type=int, default=5, help="at least 5 (5)")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--head", default="recipe", choices=("recipe", "linear"))
    arguments = parser.parse_args()
    if arguments.seeds < 5:
        parser.error(f"Received {arguments.seeds} seeds; an interval needs at least 5.")
    arguments.cache.mkdir(parents=True, exist_ok=True)
    dataset = load_dataset([arguments.data], unpack_dir=arguments.cache, progress=False)
    options = TrainingOptions(
        architecture="mobilenet_v2", weights=str(arguments.weights), quick=True
    )
    is_linear = arguments.head == "linear"
    simulation = Simulation(dataset, options, arguments.cache, linear=is_linear)
    print(f"pictures: { {split: len(f.truth) for split, f in simulation.features.items()} }")
    for name in arguments.settings:
        rounds = []
        for seed in range(arguments.seeds):
            one = simulation.play(SETTINGS[name], seed)
            rounds.append(one)
            print(f"{name}, seed {seed}: {json.dumps(dict(_facts(one)))}", flush=True)
        mean, low, high = difference(rounds)
        beyond = "beyond" if low > 0 or high < 0 else "within"
        print(
            f"{name}: doubtful less random {mean:+.2%} [{low:+.2%}, {high:+.2%}] test accuracy, "
            f"n = {len(rounds)} seeds, {beyond} noise",
            flush=True,
        )


def _facts(one: Round) -> list[tuple[str, object]]:
    names = Round.__dataclass_fields__
    values = ((name, getattr(one, name)) for name in names)
    return [(name, round(v, 4) if isinstance(v, float) else v) for name, v in values]


def _is_hidden(group: str, share: float, seed: int) -> bool:
    digest = hashlib.sha256(f"hidden:{seed}:{group}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < share


if __name__ == "__main__":
    main()
