"""EfficientNetV2-B0 from `keras.applications`: the most accurate backbone here.

Tan & Le 2021, "EfficientNetV2: Smaller Models and Faster Training". Two and a half times the
parameters of MobileNetV2, so a file of 12 MB.

Input (batch, height, width, 3) uint8, at least 32×32; output (batch, classes) logits;
embedding of 1,280. With ten classes 5,934,682 parameters at 160×160×3 and any other size; 28×28×1
is refused for size and colour. Weights: imagenet, a file or none.

Options: `dropout` of the embedding (0.3).
"""

import keras

from ml.architectures.backbone import build_on_backbone
from ml.architectures.options import NetworkOptions
from ml.architectures.weights import Weights


def build_v2_b0(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build EfficientNetV2-B0; raises what `build_on_backbone` raises."""
    return build_on_backbone(
        "efficientnet_v2_b0",
        keras.applications.EfficientNetV2B0,
        input_shape,
        classes,
        weights,
        options,
        scales_itself=True,
    )
