"""The best training settings we know for each architecture, measured in docs/networks.md."""

from dataclasses import dataclass

from ml.config import Optimizer, Schedule
from ml.mixing import Mix

REFERENCE_BATCH = 128
LEAST_EPOCHS = 30  # of photographs, however many there are


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How an architecture learns best from scratch; `ml.plan` fits it to the pictures."""

    optimizer: Optimizer
    learning_rate: float
    """For batches of `REFERENCE_BATCH`."""
    weight_decay: float
    schedule: Schedule = "triangular"
    label_smoothing: float = 0.1
    augmented: bool = True
    """Whether random movement helps; too simple networks only get worse by it."""
    epochs_small: int = 8
    """On pictures of up to 64 px."""
    epochs_photos: int = 30
    """At most; of many pictures `seen_photos` is enough."""
    seen_photos: int | None = None
    """How many photographs are shown in all, each as often as it is."""
    batch_photos: int = REFERENCE_BATCH
    augmentation_photos: str = "photos"
    train_side: float = 1.0
    """Side of cropped training photographs, as a share of the served ones'. Crops show things
    larger than whole pictures do, which smaller ones make up for (Touvron et al. 2019,
    "Fixing the train-test resolution discrepancy"), and they are quicker to learn from."""
    mix_photos: Mix = "none"
    mirror_averaged: bool = False
    """Whether photographs are judged by both views, the picture's and its mirror image's."""

    def epochs_for(self, photos: int) -> int:
        """Return how often each of so many photographs is shown."""
        if self.seen_photos is None:
            return self.epochs_photos
        return max(LEAST_EPOCHS, min(self.epochs_photos, self.seen_photos // photos))

    def rate_for(self, batch_size: int) -> float:
        """Return the learning rate for another batch size.

        In proportion for SGD (Goyal et al. 2017), with its square root for adaptive
        optimizers (Malladi et al. 2022).
        """
        power = 1.0 if self.optimizer == "sgd" else 0.5
        return float(self.learning_rate * (batch_size / REFERENCE_BATCH) ** power)


# A backbone without its ImageNet weights: deep, and made for adaptive rates.
_BACKBONE = Recipe(optimizer="adamw", learning_rate=2e-3, weight_decay=0.05)
_SIMPLE = Recipe(
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=0.0,
    label_smoothing=0.0,
    augmented=False,
    epochs_small=15,
)

RECIPES: dict[str, Recipe] = {
    "linear": _SIMPLE,
    "perceptron": _SIMPLE,
    "mlp": Recipe(
        optimizer="adamw", learning_rate=2e-3, weight_decay=0.02, augmented=False, epochs_small=15
    ),
    "cnn": Recipe(optimizer="sgd", learning_rate=0.3, weight_decay=5e-4, epochs_small=12),
    "residual_cnn": Recipe(
        optimizer="muon",
        learning_rate=0.014,
        weight_decay=0.1,
        epochs_photos=250,
        seen_photos=812_500,
        batch_photos=64,
        augmentation_photos="photos_strong",
        train_side=0.8,
        mix_photos="both",
        mirror_averaged=True,
    ),
    "spatial_transformer": Recipe(optimizer="adamw", learning_rate=4e-3, weight_decay=0.05),
    "recurrent": Recipe(optimizer="adamw", learning_rate=3e-3, weight_decay=0.01, epochs_small=10),
    "attention": Recipe(
        optimizer="adamw", learning_rate=2e-3, weight_decay=0.05, epochs_small=15, epochs_photos=60
    ),
}


def recipe_for(architecture: str) -> Recipe:
    """Return the recipe by which an architecture is trained from scratch."""
    return RECIPES.get(architecture, _BACKBONE)
