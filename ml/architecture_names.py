"""Names of the architectures, for those who must not load TensorFlow to list them."""

from typing import Final

BACKBONES: Final = (
    "mobilenet_v2",
    "mobilenet_v1",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "efficientnet_v2_b0",
)
"""Begin from what ImageNet taught them."""

FROM_SCRATCH: Final = (
    "cnn",
    "residual_cnn",
    "spatial_transformer",
    "attention",
    "recurrent",
    "pp_lcnet",
)

BASELINES: Final = ("linear", "perceptron", "mlp", "nearest_neighbours")
"""Simple ones, to tell what the others are worth."""

ARCHITECTURE_NAMES: Final = (*BACKBONES, *FROM_SCRATCH, *BASELINES)
