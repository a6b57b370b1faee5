"""Hidden layers of units between pixels and scores, learned by back-propagation.

Rumelhart, Hinton & Williams 1986, "Learning Representations by Back-Propagating Errors".
Each layer is normalised over the batch before its activation (Ioffe & Szegedy 2015), which
keeps sigmoids out of saturation too, and thinned by dropout (Srivastava et al. 2014).

Input (batch, height, width, 1 or 3) uint8 of any size; output (batch, classes) logits.
Pictures of more than 3,072 numbers are averaged down to 55×55 in grey or 32×32 in colour
first. The embedding is what the last hidden layer gives. With ten classes 538,122
parameters at 28×28×1 and 1,709,578 at 160×160×3. There are no feature maps, so it gives no
activation.

Options: `layers`, the units of each hidden layer (512, 256); `activation`: relu (default),
sigmoid or tanh; `dropout` after each hidden layer (0.2).
"""

import keras
from keras import layers

from ml.architectures.blocks import linear_head
from ml.architectures.options import NetworkOptions
from ml.architectures.pixels import pixel_vector
from ml.architectures.requirements import require_no_weights
from ml.architectures.weights import Weights

LAYERS = (512, 256)
DROPOUT = 0.2
MOST_PIXELS = 3072
OPTIONS = frozenset({"layers", "activation", "dropout"})


def build(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build the network; raises TrainingError("bad_weights") unless `weights` is "none"."""
    require_no_weights("mlp", weights)
    units_of_layers = options.layers or LAYERS
    dropout = DROPOUT if options.dropout is None else options.dropout
    image = keras.Input(input_shape, dtype="uint8", name="image")
    x = pixel_vector(image, most_numbers=MOST_PIXELS)
    for number, units in enumerate(units_of_layers, start=1):
        if number > 1 and dropout:
            x = layers.Dropout(dropout)(x)
        x = layers.Dense(units, use_bias=False, kernel_initializer="he_normal")(x)
        x = layers.BatchNormalization(momentum=0.8)(x)
        is_last = number == len(units_of_layers)
        x = layers.Activation(options.activation or "relu", name="embedding" if is_last else None)(
            x
        )
    head = linear_head(units_of_layers[-1], classes, dropout=dropout)
    return keras.Model(image, head(x), name="mlp")
