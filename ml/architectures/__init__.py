"""The networks Lacewing can train: one file per family, all under one contract.

Every network is a `keras.Model` from a uint8 picture (batch, height, width, channels) in
0..255 to logits (batch, classes), made of named parts, so that one forward pass can also
give the embedding and, where there are feature maps, the class-activation map:

- `embedding`: the layer whose output (batch, depth) is the embedding;
- `head`: embedding → logits;
- `features`, where there is one: picture → feature maps (batch, h, w, depth), of which the
  embedding is a global pooling. The head applied at every position of the maps then gives
  the class-activation map (Zhou et al. 2016, "Learning Deep Features for Discriminative
  Localization").
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np
import numpy.typing as npt

from ml.architectures import (
    attention,
    backbone,
    cnn,
    efficientnet,
    linear,
    mlp,
    mobilenet,
    nearest_neighbours,
    perceptron,
    pp_lcnet,
    recurrent,
    residual_cnn,
    spatial_transformer,
)
from ml.architectures.options import NetworkOptions
from ml.architectures.weights import Weights
from ml.errors import TrainingError

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "NetworkOptions",
    "Weights",
    "architecture_named",
    "build_network",
    "check_options",
]

InputShape = tuple[int, int, int]
Pixels = npt.NDArray[np.uint8]
Truth = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What training must know of a family."""

    build: Callable[[InputShape, int, Weights, NetworkOptions], keras.Model]
    """(height, width, channels), number of classes, initial weights, options → network."""
    recipe: Literal["scratch", "transfer", "memorise"]
    """`transfer`: head on cached features, then refine; `scratch`: everything at once;
    `memorise`: the training pictures themselves become the network, without epochs."""
    image_size_px: int
    """Side of the square input for photographs, unless told otherwise."""
    least_size_px: int = 1
    """Smaller pictures are enlarged to this side, unless told otherwise."""
    options: frozenset[str] = frozenset()
    """Names of the `NetworkOptions` that it takes."""
    memorise: Callable[[Pixels, Truth, int, NetworkOptions], keras.Model] | None = None
    """Pictures (n, height, width, channels), their classes (n,), number of classes, options
    → the whole network (`memorise` only)."""
    refine_from: str = ""
    """Name of the first backbone layer that the refine phase trains (`transfer` only)."""


ARCHITECTURES: dict[str, Architecture] = {
    "nearest_neighbours": Architecture(
        build=nearest_neighbours.build,
        recipe="memorise",
        image_size_px=32,
        options=nearest_neighbours.OPTIONS,
        memorise=nearest_neighbours.memorise,
    ),
    "linear": Architecture(build=linear.build, recipe="scratch", image_size_px=32),
    "perceptron": Architecture(
        build=perceptron.build, recipe="scratch", image_size_px=32, options=perceptron.OPTIONS
    ),
    "mlp": Architecture(build=mlp.build, recipe="scratch", image_size_px=32, options=mlp.OPTIONS),
    "cnn": Architecture(
        build=cnn.build,
        recipe="scratch",
        image_size_px=96,
        least_size_px=cnn.MINIMUM_SIZE_PX,
        options=cnn.OPTIONS,
    ),
    "residual_cnn": Architecture(
        build=residual_cnn.build,
        recipe="scratch",
        image_size_px=160,
        least_size_px=residual_cnn.MINIMUM_SIZE_PX,
        options=residual_cnn.OPTIONS,
    ),
    "spatial_transformer": Architecture(
        build=spatial_transformer.build,
        recipe="scratch",
        image_size_px=96,
        least_size_px=spatial_transformer.MINIMUM_SIZE_PX,
        options=spatial_transformer.OPTIONS,
    ),
    "recurrent": Architecture(
        build=recurrent.build, recipe="scratch", image_size_px=32, options=recurrent.OPTIONS
    ),
    "attention": Architecture(
        build=attention.build,
        recipe="scratch",
        image_size_px=96,
        least_size_px=attention.MINIMUM_SIZE_PX,
        options=attention.OPTIONS,
    ),
    "pp_lcnet": Architecture(
        build=pp_lcnet.build,
        recipe="scratch",
        image_size_px=128,
        least_size_px=pp_lcnet.MINIMUM_SIZE_PX,
        options=pp_lcnet.OPTIONS,
    ),
    "mobilenet_v1": Architecture(
        build=mobilenet.build_v1,
        recipe="transfer",
        image_size_px=224,
        options=backbone.OPTIONS,
        refine_from="conv_dw_12",
    ),
    "mobilenet_v2": Architecture(
        build=mobilenet.build_v2,
        recipe="transfer",
        image_size_px=224,
        options=backbone.OPTIONS,
        refine_from="block_13_expand",
    ),
    "mobilenet_v3_small": Architecture(
        build=mobilenet.build_v3_small,
        recipe="transfer",
        image_size_px=224,
        options=backbone.OPTIONS,
        refine_from="expanded_conv_8_expand",
    ),
    "mobilenet_v3_large": Architecture(
        build=mobilenet.build_v3_large,
        recipe="transfer",
        image_size_px=224,
        options=backbone.OPTIONS,
        refine_from="expanded_conv_12_expand",
    ),
    "efficientnet_v2_b0": Architecture(
        build=efficientnet.build_v2_b0,
        recipe="transfer",
        image_size_px=224,
        options=backbone.OPTIONS,
        refine_from="block6a_expand_conv",
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


def check_options(name: str, options: NetworkOptions) -> None:
    """Raise TrainingError("unknown_option") for options that the architecture does not take."""
    taken = architecture_named(name).options
    if unknown := sorted(options.given() - taken):
        raise TrainingError(
            "unknown_option",
            f"The architecture {name} does not take {', '.join(unknown)}. "
            f"Allowed: {', '.join(sorted(taken)) or 'no options'}.",
        )


def build_network(
    name: str,
    input_shape: InputShape,
    classes: int,
    weights: Weights,
    options: NetworkOptions | None = None,
) -> keras.Model:
    """Build the named architecture for pictures of `input_shape` (height, width, channels).

    Raises TrainingError for an unknown name, an option or an input that the family cannot
    take, or weights that cannot be had.
    """
    options = options or NetworkOptions()
    check_options(name, options)
    return architecture_named(name).build(input_shape, classes, weights, options)
