"""What families ask of their input, refused in one voice."""

from ml.architectures.weights import Weights
from ml.errors import TrainingError


def require_no_weights(name: str, weights: Weights) -> None:
    """Raise TrainingError("bad_weights") where there is nothing to download or read."""
    if weights != "none":
        raise TrainingError(
            "bad_weights",
            f"The architecture {name} is trained from scratch; received --weights {weights}, "
            "allowed: none.",
        )


def require_side(name: str, input_shape: tuple[int, int, int], least_px: int) -> None:
    """Raise TrainingError("bad_image_size") for pictures with a side below `least_px`."""
    height_px, width_px, _ = input_shape
    if min(height_px, width_px) < least_px:
        raise TrainingError(
            "bad_image_size",
            f"The architecture {name} needs pictures of at least {least_px} px; "
            f"received {width_px}×{height_px}. Choose a larger --image-size.",
        )


def require_color(name: str, input_shape: tuple[int, int, int]) -> None:
    """Raise TrainingError("bad_color") for pictures without three channels."""
    channels = input_shape[2]
    if channels != 3:
        raise TrainingError(
            "bad_color",
            f"The architecture {name} needs colour pictures; received {channels} channel(s).",
        )
