"""The rows of a picture as a sequence, read from top to bottom by gated units.

Cho et al. 2014, "Learning Phrase Representations Using RNN Encoder-Decoder for Statistical
Machine Translation" (GRU), trained by back-propagation through time. The states after every
row are averaged, so that the first rows are not forgotten. The steps are unrolled: twice as
fast as a loop here, and LiteRT needs no control flow.

Input (batch, height, width, 1 or 3) uint8; output (batch, classes) logits. Pictures of more
than 32 rows or columns are averaged down to 32 first. The embedding is the average of the
last layer's states. With ten classes 161,034 parameters at 28×28×1 and 187,146 at 160×160×3.
It has no feature maps, so it gives no activation.

Options: `depth`, layers of units (2); `width`, units in each (128); `dropout` between the
layers and of the embedding (0.1).
"""

import keras
from keras import layers

from ml.architectures.blocks import linear_head, scaled
from ml.architectures.options import NetworkOptions
from ml.architectures.pixels import AreaPooling
from ml.architectures.requirements import require_no_weights
from ml.architectures.weights import Weights

MOST_STEPS = 32
DEPTH = 2
WIDTH = 128
DROPOUT = 0.1
OPTIONS = frozenset({"depth", "width", "dropout"})


def build(
    input_shape: tuple[int, int, int], classes: int, weights: Weights, options: NetworkOptions
) -> keras.Model:
    """Build the network; raises TrainingError("bad_weights") unless `weights` is "none"."""
    require_no_weights("recurrent", weights)
    height_px, width_px, channels = input_shape
    units = options.width or WIDTH
    dropout = DROPOUT if options.dropout is None else options.dropout
    steps, columns = min(height_px, MOST_STEPS), min(width_px, MOST_STEPS)
    image = keras.Input(input_shape, dtype="uint8", name="image")
    x = AreaPooling(steps, columns, dtype="float32", name="pooling")(scaled(image))
    x = layers.Reshape((steps, columns * channels))(x)
    for number in range(options.depth or DEPTH):
        if number and dropout:
            x = layers.Dropout(dropout)(x)
        x = layers.GRU(units, return_sequences=True, unroll=True)(x)
    embedding = layers.GlobalAveragePooling1D(name="embedding")(x)
    head = linear_head(units, classes, dropout=dropout)
    return keras.Model(image, head(embedding), name="recurrent")
