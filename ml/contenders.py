"""What is to be compared, as people write it: `linear`, `cnn:depth=6,width=16`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ml.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """An architecture with whatever of its shape or its training is not left to the plan."""

    architecture: str
    options: dict[str, Any] = field(default_factory=dict)
    """Keys of `OPTIONS` to values of that kind."""

    def __str__(self) -> str:
        if not self.options:
            return self.architecture
        written = ",".join(f"{key}={_written(key, value)}" for key, value in self.options.items())
        return f"{self.architecture}:{written}"


def parse_contenders(words: Sequence[str]) -> tuple[Contender, ...]:
    """Read what was written: `a,b,c` without options, one word each with options.

    Raises:
        TrainingError: `bad_contender` for what cannot be read, `too_few_contenders` for fewer
            than two, `repeated_contender` for one that is named twice. Whether there is such an
            architecture is not asked here.
    """
    contenders: list[Contender] = []
    for word in words:
        if ":" in word:
            contenders.append(_with_options(word))
        else:
            contenders += [Contender(architecture=name) for name in word.split(",") if name]
    if len(contenders) < 2:
        raise TrainingError(
            "too_few_contenders",
            f"Received {len(contenders)} to compare ({' '.join(words) or 'nothing'}). Name at "
            "least two, for example: --architectures linear,cnn",
        )
    seen: set[str] = set()
    for contender in map(str, contenders):
        if contender in seen:
            raise TrainingError(
                "repeated_contender",
                f"{contender} is named twice. To train it more than once, use --seeds.",
            )
        seen.add(contender)
    return tuple(contenders)


def _with_options(word: str) -> Contender:
    architecture, _, written = word.partition(":")
    if "," in architecture:
        *others, last = architecture.split(",")
        _refuse(word, f"write a space before it: {','.join(others)} {last}:{written}")
    options: dict[str, Any] = {}
    for item in written.split(","):
        key, equals, value = item.partition("=")
        if not architecture or not equals:
            _refuse(word, "write NAME:KEY=VALUE,KEY=VALUE, for example cnn:depth=6,width=16")
        if key not in OPTIONS:
            _refuse(word, f"there is no option {key!r}. Allowed: {', '.join(OPTIONS)}")
        if key in options:
            _refuse(word, f"{key} is given twice")
        try:
            options[key] = OPTIONS[key](value)
        except ValueError:
            _refuse(word, f"{value!r} is no value for {key}")
    return Contender(architecture=architecture, options=dict(sorted(options.items())))


def _refuse(word: str, fault: str) -> None:
    raise TrainingError("bad_contender", f"Cannot read {word!r}: {fault}.")


def _text(value: str) -> str:
    if not value:
        raise ValueError(value)
    return value


def _units(value: str) -> list[int]:
    return [int(units) for units in value.split("-")]


def _weights(value: str) -> str:
    if _text(value) in {"imagenet", "none"}:
        return value
    return str(Path(value).expanduser().resolve())


def _written(key: str, value: Any) -> str:
    if key == "weights":  # a file's folder is nobody's business on a leaderboard
        return Path(value).name
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


OPTIONS: dict[str, Callable[[str], Any]] = {
    # The shape of the network.
    "layers": _units,
    "activation": _text,
    "depth": int,
    "width": int,
    "dropout": float,
    "neighbours": int,
    "distance": _text,
    # Its training.
    "image_size_px": int,
    "epochs": int,
    "batch_size": int,
    "weights": _weights,
    "fit": _text,
    "augmentation": _text,
    "mix": _text,
    "loss": _text,
    "label_smoothing": float,
    "optimizer": _text,
    "schedule": _text,
    "learning_rate": float,
    "weight_decay": float,
    "l2": float,
    "ema": float,
    "patience": int,
}
