"""MobileNets from `keras.applications`: photographs on ordinary CPUs.

- `mobilenet_v1`: Howard et al. 2017, "MobileNets: Efficient Convolutional Neural Networks
  for Mobile Vision Applications", at a quarter of its width (alpha 0.25), the smallest with
  ImageNet weights. Embedding of 256; 221,626 parameters with ten classes.
- `mobilenet_v2`: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear
  Bottlenecks". Embedding of 1,280; 2,273,354 parameters.
- `mobilenet_v3_small` and `mobilenet_v3_large`: Howard et al. 2019, "Searching for
  MobileNetV3". Embeddings of 576 and 960; 946,042 and 3,007,882 parameters.

Input (batch, height, width, 3) uint8, at least 32×32, where the number of parameters does
not depend on the size (160×160×3 and any other); 28×28×1 is refused for size and colour.
Output (batch, classes) logits. Weights: imagenet, a file or none.

Options: `dropout` of the embedding (0.3).
"""

import keras

from ml.architectures.backbone import build_on_backbone
from ml.architectures.options import NetworkOptions
from ml.architectures.weights import Weights

ALPHA_V1 = 0.25


def build_v1(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build MobileNet of a quarter's width; raises what `build_on_backbone` raises."""
    return build_on_backbone(
        "mobilenet_v1",
        keras.applications.MobileNet,
        input_shape,
        classes,
        weights,
        options,
        alpha=ALPHA_V1,
    )


def build_v2(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build MobileNetV2; raises what `build_on_backbone` raises."""
    return build_on_backbone(
        "mobilenet_v2", keras.applications.MobileNetV2, input_shape, classes, weights, options
    )


def build_v3_small(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build MobileNetV3-Small; raises what `build_on_backbone` raises."""
    return build_on_backbone(
        "mobilenet_v3_small",
        keras.applications.MobileNetV3Small,
        input_shape,
        classes,
        weights,
        options,
        scales_itself=True,
    )


def build_v3_large(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build MobileNetV3-Large; raises what `build_on_backbone` raises."""
    return build_on_backbone(
        "mobilenet_v3_large",
        keras.applications.MobileNetV3Large,
        input_shape,
        classes,
        weights,
        options,
        scales_itself=True,
    )
