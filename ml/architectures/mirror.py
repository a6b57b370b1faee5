"""A network that looks at each picture and at its mirror image, and takes the mean of both.

Krizhevsky et al. 2012, "ImageNet Classification with Deep Convolutional Neural Networks", whose
test pictures were seen both ways. Here the feature maps are averaged, the mirrored ones turned
back, so that embedding, logits and class-activation map all follow from them as before.
"""

import keras
from keras import ops


def mirror_averaged(network: keras.Model) -> keras.Model:
    """Return a trained `network` of feature maps that answers for both views of a picture.

    It has the same weights, input, outputs and named parts, and takes twice as long.
    """
    one_way = network.get_layer("features")
    image = keras.Input(network.input_shape[1:], dtype="uint8", name="image")
    maps = one_way(ops.concatenate([image, ops.flip(image, axis=2)], axis=0))
    seen, mirrored = ops.split(maps, 2, axis=0)
    features = keras.Model(image, (seen + ops.flip(mirrored, axis=2)) / 2, name="features")
    embedding = network.get_layer("embedding")(features(image))
    return keras.Model(image, network.get_layer("head")(embedding), name=network.name)
