"""Where a backbone's first weights come from."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import keras

from ml.errors import TrainingError

Weights = Literal["imagenet", "none"] | Path

_ALLOWED = "Allowed: imagenet (Keras downloads them), none, or the path of a .weights.h5 file."


def parse_weights(text: str) -> Weights:
    """Read `--weights`: "imagenet", "none" or an existing `.weights.h5` file.

    Raises TrainingError("bad_weights") naming what was received.
    """
    if text == "imagenet":
        return "imagenet"
    if text == "none":
        return "none"
    path = Path(text).expanduser()
    if path.is_file() and path.name.endswith(".weights.h5"):
        return path.resolve()
    problem = "is not a .weights.h5 file" if path.exists() else "does not exist"
    raise TrainingError("bad_weights", f"The weights {text!r}: {problem}. {_ALLOWED}")


def load_backbone(
    application: Callable[..., keras.Model], weights: Weights, **arguments: object
) -> keras.Model:
    """Build a `keras.applications` backbone without its top and fill in `weights`.

    Raises TrainingError("weights_unavailable") when the download fails, and
    TrainingError("bad_weights") when the file does not fit the network.
    """
    if weights == "imagenet":
        try:
            return application(include_top=False, weights="imagenet", **arguments)
        except Exception as error:
            raise TrainingError(
                "weights_unavailable",
                f"Keras could not download the ImageNet weights ({error}). Connect to the "
                "network once, or pass --weights FILE.weights.h5, or --weights none.",
            ) from error
    backbone = application(include_top=False, weights=None, **arguments)
    if weights != "none":
        try:
            backbone.load_weights(weights)
        except Exception as error:
            raise TrainingError(
                "bad_weights", f"The weights in {weights} do not fit this network: {error}"
            ) from error
    return backbone
