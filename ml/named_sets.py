"""Public data sets that `--data` takes by name; where they come from and what they are called.

`ml.downloads` fetches them; this module only names them, and needs no Keras for that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_KERAS = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSet:
    """One public data set."""

    name: str
    origin: str
    """Address that the file names are put after."""
    sha256: Mapping[str, str]
    """File name → digest; what does not agree is never read."""
    class_names: tuple[str, ...] | None = None
    """By class number; None where the number itself is the name."""

    def url(self, file: str, mirror: str) -> str:
        """Return the address of a file: at its origin, or `mirror/NAME/FILE`."""
        return f"{mirror.rstrip('/')}/{self.name}/{file}" if mirror else self.origin + file


NAMED_SETS: Mapping[str, NamedSet] = {
    named_set.name: named_set
    for named_set in (
        NamedSet(
            name="mnist",
            origin=_KERAS,
            sha256={
                "mnist.npz": "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
            },
        ),
        NamedSet(
            name="fashion_mnist",
            origin=_KERAS,
            sha256={
                "train-images-idx3-ubyte.gz": (
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
                ),
                "train-labels-idx1-ubyte.gz": (
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
                ),
                "t10k-images-idx3-ubyte.gz": (
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
                ),
                "t10k-labels-idx1-ubyte.gz": (
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
                ),
            },
            class_names=(
                "T-shirt", "trouser", "pullover", "dress", "coat",
                "sandal", "shirt", "sneaker", "bag", "ankle boot",
            ),
        ),
        NamedSet(
            name="cifar10",
            # The same pictures as Keras loads, in the form that needs no unpickling.
            origin="https://www.cs.toronto.edu/~kriz/",
            sha256={
                "cifar-10-binary.tar.gz": (
                    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
                )
            },
            class_names=(
                "airplane", "automobile", "bird", "cat", "deer",
                "dog", "frog", "horse", "ship", "truck",
            ),
        ),
        NamedSet(
            name="digits",
            # The file that scikit-learn's load_digits reads.
            origin="https://raw.githubusercontent.com/scikit-learn/scikit-learn/1.7.2/sklearn/"
            "datasets/data/",
            sha256={
                "digits.csv.gz": "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
            },
        ),
    )
}  # fmt: skip


def is_named_set(source: Path) -> bool:
    """Whether a source is the name of a public data set and not a file or folder.

    A file or folder of that name in the working directory wins: what people see there is what
    they mean; anything written as a path, such as `./mnist`, is one.
    """
    return str(source) in NAMED_SETS and not source.exists()


def located(source: Path) -> Path:
    """Return a source as it can be handed to another process: absolute, or a set's name."""
    return source if is_named_set(source) else source.expanduser().resolve()


def cached_path(name: str, cache_dir: Path) -> Path:
    """Return where a set lies once it has been fetched: an `.npz` as `ml.npz` reads it."""
    return cache_dir / "datasets" / f"{name}.npz"
