"""Scores Wx + b of the pixels: a template for each class, and nothing else.

With cross-entropy it is softmax regression (logistic regression for two classes; Cox 1958,
"The Regression Analysis of Binary Sequences"), with the hinge loss a multi-class support
vector machine (Crammer & Singer 2001, "On the Algorithmic Implementation of Multiclass
Kernel-based Vector Machines").

Input (batch, height, width, 1 or 3) uint8 of any size; output (batch, classes) logits. The
embedding is the row of pixels in 0..1; pictures of more than 1,280 numbers are averaged
down to 35×35 in grey or 20×20 in colour first. With ten classes 7,850 parameters at 28×28×1
and 12,010 at 160×160×3. There are no feature maps, so it gives no activation.
"""

import keras

from ml.architectures.blocks import linear_head
from ml.architectures.options import NetworkOptions
from ml.architectures.pixels import pixel_vector
from ml.architectures.requirements import require_no_weights
from ml.architectures.weights import Weights


def build(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build the network; raises TrainingError("bad_weights") unless `weights` is "none"."""
    require_no_weights("linear", weights)
    image = keras.Input(input_shape, dtype="uint8", name="image")
    embedding = pixel_vector(image, name="embedding")
    head = linear_head(embedding.shape[-1], classes)
    return keras.Model(image, head(embedding), name="linear")
