"""One layer of units, one unit for each class, whose outputs are the scores.

Rosenblatt 1958, "The Perceptron: A Probabilistic Model for Information Storage and
Organization in the Brain"; with a sigmoid in place of the step, so that it learns by
gradients. A unit ends at 0..1 (sigmoid) or -1..1 (tanh), with which softmax could never be
sure: the scores are therefore stretched to ten logits between a unit that is off and one
that is on.

Input (batch, height, width, 1 or 3) uint8 of any size; output (batch, classes) logits. The
embedding is the row of pixels in 0..1, at most 1,280 numbers as in `linear`. With ten
classes 7,850 parameters at 28×28×1 and 12,010 at 160×160×3. There are no feature maps, so
it gives no activation.

Options: `activation` of the units: sigmoid (default), tanh or relu.
"""

import keras
from keras import layers

from ml.architectures.options import NetworkOptions
from ml.architectures.pixels import pixel_vector
from ml.architectures.requirements import require_no_weights
from ml.architectures.weights import Weights

GAINS = {"sigmoid": 10.0, "tanh": 5.0, "relu": 1.0}
OPTIONS = frozenset({"activation"})


def build(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build the network; raises TrainingError("bad_weights") unless `weights` is "none"."""
    require_no_weights("perceptron", weights)
    activation = options.activation or "sigmoid"
    image = keras.Input(input_shape, dtype="uint8", name="image")
    embedding = pixel_vector(image, name="embedding")
    head = keras.Sequential(
        [
            keras.Input((embedding.shape[-1],)),
            layers.Dense(classes, activation=activation, dtype="float32", name="logits"),
            layers.Rescaling(GAINS[activation], dtype="float32", name="gain"),
        ],
        name="head",
    )
    return keras.Model(image, head(embedding), name="perceptron")
