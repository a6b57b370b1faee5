"""What a person may ask of a training; `ml.plan` chooses the rest."""

from dataclasses import dataclass, fields

from ml.architectures.options import NetworkOptions

SHAPE_FIELDS = tuple(field.name for field in fields(NetworkOptions))


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOptions:
    """What a person may ask for; None leaves the choice to `make_plan`."""

    architecture: str | None = None
    image_size_px: int | None = None
    epochs: int | None = None
    weights: str | None = None
    pictures: str | None = None
    """"photos" or "drawings": drawings are cropped to their ink and never mirrored."""
    quick: bool = False
    """A first answer in the least time: the head alone, or one epoch."""
    fit: str | None = None
    """"stretch", "letterbox" or "crop"."""
    augmentation: str | None = None
    """"auto", "none", "light" or "strong"."""
    mix: str | None = None
    batch_size: int | None = None
    loss: str | None = None
    label_smoothing: float | None = None
    optimizer: str | None = None
    schedule: str | None = None
    learning_rate: float | None = None
    weight_decay: float | None = None
    l2: float | None = None
    ema: float | None = None
    patience: int | None = None
    layers: tuple[int, ...] | None = None
    activation: str | None = None
    depth: int | None = None
    width: int | None = None
    dropout: float | None = None
    neighbours: int | None = None
    distance: str | None = None
    seed: int = 0

    def shape(self) -> NetworkOptions:
        """Return what is asked of the network itself.

        Raises TrainingError("bad_<option>") for a value that is not allowed.
        """
        return NetworkOptions.from_dict({name: getattr(self, name) for name in SHAPE_FIELDS})
