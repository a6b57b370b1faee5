"""The networks Lacewing can train: one file per family, all under one contract.

Every network is a `keras.Model` from a uint8 picture (batch, height, width, channels) in
0..255 to logits (batch, classes), made of three named parts, so that one forward pass can
also give the embedding and the class-activation map:

- `features`: picture → feature maps (batch, h, w, depth); scaling happens in here;
- `embedding`: global pooling → (batch, depth);
- `head`: embedding → logits; applied at every position of the feature maps it gives the
  class-activation map (Zhou et al. 2016, "Learning Deep Features for Discriminative
  Localization").
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import keras

from ml.architectures import cnn, mobilenet
from ml.architectures.weights import Weights
from ml.errors import TrainingError

__all__ = ["ARCHITECTURES", "Architecture", "Weights", "architecture_named", "build_network"]

InputShape = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What training must know of a family."""

    build: Callable[[InputShape, int, Weights], keras.Model]
    """(height, width, channels), number of classes, initial weights → network."""
    recipe: Literal["scratch", "transfer"]
    """`transfer`: head on cached features, then refine; `scratch`: everything at once."""
    image_size_px: int
    """Side of the square input for photographs, unless told otherwise."""
    refine_from: str = ""
    """Name of the first backbone layer that the refine phase trains (`transfer` only)."""


ARCHITECTURES: dict[str, Architecture] = {
    "cnn": Architecture(build=cnn.build, recipe="scratch", image_size_px=96),
    "mobilenet_v2": Architecture(
        build=mobilenet.build_v2,
        recipe="transfer",
        image_size_px=224,
        refine_from="block_13_expand",
    ),
    "mobilenet_v3_small": Architecture(
        build=mobilenet.build_v3_small,
        recipe="transfer",
        image_size_px=224,
        refine_from="expanded_conv_8_expand",
    ),
}


def architecture_named(name: str) -> Architecture:
    """Return the architecture, or raise TrainingError("unknown_architecture") naming all."""
    try:
        return ARCHITECTURES[name]
    except KeyError:
        raise TrainingError(
            "unknown_architecture",
            f"Unknown architecture {name!r}. Allowed: {', '.join(sorted(ARCHITECTURES))}.",
        ) from None


def build_network(
    name: str, input_shape: InputShape, classes: int, weights: Weights
) -> keras.Model:
    """Build the named architecture for pictures of `input_shape` (height, width, channels).

    Raises TrainingError for an unknown name, an input the family cannot take, or weights
    that cannot be had.
    """
    return architecture_named(name).build(input_shape, classes, weights)
