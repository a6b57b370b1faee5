"""`python -m benchmarks.backgrounds --data DIR`: what a picture shares with its nearest one.

For every test picture of a folder of photographs the nearest training picture, by the squared
differences of 20×20 pixels in colour as `nearest_neighbours` takes them. Prints how often it
is of the same class, and how far apart the two are at the rim (the outer quarter on every
side, mostly background) and in the middle: as a share of the distance to a training picture at
random, and to one of the same class at random.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.dataset import Dataset, Split, load_dataset
from ml.pipeline import PictureCache, cache_pictures
from ml.preprocessing import Preprocessing

SIDE_PX = 20
RIM_PX = SIDE_PX // 4

Floats = npt.NDArray[np.float32]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lacewing-backgrounds-") as folder:
        dataset = load_dataset([arguments.data], unpack_dir=Path(folder))
        size = Preprocessing(height_px=SIDE_PX, width_px=SIDE_PX, color="rgb")
        cache = cache_pictures(dataset, size, cache_dir=Path(folder))
        known, known_truth = _pictures(dataset, cache, "train")
        asked, truth = _pictures(dataset, cache, "test")
    nearest = _squared(asked, known).argmin(axis=1)
    print(f"{len(asked):,} test pictures, {len(known):,} training pictures")
    print(f"nearest one of the same class: {np.mean(known_truth[nearest] == truth):.1%}")
    random = np.random.default_rng(0)
    others = {
        "any picture": random.integers(len(known), size=len(asked)),
        "one of its class": np.array(
            [random.choice(np.flatnonzero(known_truth == label)) for label in truth]
        ),
    }
    for part, mask in _parts().items():
        near = _distance(asked, known[nearest], mask)
        for name, chosen in others.items():
            share = near / _distance(asked, known[chosen], mask)
            print(f"{part}: {share:.0%} of the distance to {name}")


def _pictures(
    dataset: Dataset, cache: PictureCache, split: Split
) -> tuple[Floats, npt.NDArray[np.int32]]:
    pictures, truth = cache.of(dataset.of_split(split))
    return pictures.astype(np.float32) / np.float32(255), truth


def _squared(asked: Floats, known: Floats) -> Floats:
    """Return the sums of squared differences (asked, known), but for what is equal in a row."""
    rows, columns = asked.reshape(len(asked), -1), known.reshape(len(known), -1)
    squared: Floats = np.square(columns).sum(axis=1) - 2 * rows @ columns.T
    return squared


def _parts() -> dict[str, npt.NDArray[np.bool_]]:
    middle = np.zeros((SIDE_PX, SIDE_PX), bool)
    middle[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX] = True
    return {"rim": ~middle, "middle": middle}


def _distance(asked: Floats, chosen: Floats, mask: npt.NDArray[np.bool_]) -> float:
    """Return the root of the mean squared difference of the pairs within a part."""
    difference = asked[:, mask] - chosen[:, mask]
    return float(np.sqrt(np.square(difference).mean(axis=(1, 2))).mean())


if __name__ == "__main__":
    main()
