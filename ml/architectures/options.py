"""What may be asked of an architecture beyond its input and its classes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

from ml.errors import TrainingError

Activation = Literal["relu", "tanh", "sigmoid"]
Distance = Literal["l1", "l2"]

MOST_LAYERS, MOST_UNITS = 8, 4096
MOST_DEPTH, MOST_WIDTH = 16, 1024
MOST_NEIGHBOURS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkOptions:
    """The shape of a network; None leaves a choice to its architecture."""

    layers: tuple[int, ...] | None = None
    """Units of each hidden layer (`mlp`)."""
    activation: Activation | None = None
    """Of the hidden layers (`mlp`)."""
    depth: int | None = None
    """Convolutions, blocks or layers one after another."""
    width: int | None = None
    """Filters or units of the first of them."""
    dropout: float | None = None
    """Share of the embedding that is left out at each training step, in [0, 1)."""
    neighbours: int | None = None
    """How many of the nearest pictures vote (`nearest_neighbours`)."""
    distance: Distance | None = None
    """Sum of absolute (l1) or of squared (l2) differences (`nearest_neighbours`)."""

    def __post_init__(self) -> None:
        if self.layers is not None:
            if not 1 <= len(self.layers) <= MOST_LAYERS:
                _refuse("layers", self.layers, f"1 to {MOST_LAYERS} numbers of units")
            for units in self.layers:
                _check_range("layers", units, 1, MOST_UNITS)
        if self.activation is not None and self.activation not in get_args(Activation):
            _refuse("activation", self.activation, ", ".join(get_args(Activation)))
        if self.depth is not None:
            _check_range("depth", self.depth, 1, MOST_DEPTH)
        if self.width is not None:
            _check_range("width", self.width, 1, MOST_WIDTH)
        if self.dropout is not None and not 0 <= self.dropout < 1:
            _refuse("dropout", self.dropout, "0 up to, but not including, 1")
        if self.neighbours is not None:
            _check_range("neighbours", self.neighbours, 1, MOST_NEIGHBOURS)
        if self.distance is not None and self.distance not in get_args(Distance):
            _refuse("distance", self.distance, ", ".join(get_args(Distance)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from what `to_dict` gave, also after a trip through JSON.

        Raises TrainingError("bad_<option>") for a value that is not allowed.
        """
        layers = values.get("layers")
        return cls(**{**values, "layers": None if layers is None else tuple(layers)})

    def to_dict(self) -> dict[str, Any]:
        """Return the options that were given, as JSON types."""
        given = {key: value for key, value in asdict(self).items() if value is not None}
        if "layers" in given:
            given["layers"] = list(given["layers"])
        return given

    def given(self) -> frozenset[str]:
        """Return the names of the options that were given."""
        return frozenset(
            field.name for field in fields(self) if getattr(self, field.name) is not None
        )


def _check_range(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        _refuse(name, value, f"{least} to {most}")


def _refuse(name: str, value: object, allowed: str) -> None:
    raise TrainingError(f"bad_{name}", f"Received {name} {value!r}. Allowed: {allowed}.")
