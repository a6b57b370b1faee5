"""Trained candidates side by side: which one is chosen, and how far that choice flatters it.

The choice is made on validation pictures alone; only the chosen one meets the test pictures.
"""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from ml.contenders import Contender
from ml.errors import ArtifactError, TrainingError
from ml.significance import wilson_interval

LEADERBOARD_NAME: Final = "leaderboard.json"
HALVINGS: Final = 400  # random halves of the validation pictures
HEADINGS: Final = (
    "candidate", "validation", "95 % interval", "parameters", "MACs", "file", "ms", "training",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderboardRow:
    """One candidate, trained once with every seed, or the reason why it could not be."""

    contender: Contender
    correct: tuple[int, ...] = ()
    """Validation pictures that it got right, one count for each seed."""
    n: int = 0
    """Validation pictures."""
    parameters: int = 0
    macs: int = 0
    """Multiply-adds for one picture."""
    file_bytes: int = 0
    ms_an_image: float = 0.0
    """Median on one core, of the served network."""
    training_s: float = 0.0
    """Mean over the seeds."""
    error: str = ""

    @property
    def accuracy(self) -> float:
        """Validation accuracy in [0, 1], mean over the seeds."""
        return sum(self.correct) / (len(self.correct) * self.n)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson interval at 95 %; more seeds do not narrow it, for the pictures are the same."""
        return wilson_interval(round(self.accuracy * self.n), self.n)

    @property
    def millions(self) -> float:
        """Multiply-adds for one picture, in millions."""
        return self.macs / 1e6

    @property
    def best_run(self) -> int:
        """Position of the seed that did best, the first of equals."""
        return self.correct.index(max(self.correct))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from what `to_dict` gave; raises TypeError, ValueError or KeyError."""
        row = cls(
            **{
                **values,
                "contender": Contender(**values["contender"]),
                "correct": tuple(values["correct"]),
            }
        )
        name, options = row.contender.architecture, row.contender.options
        if not isinstance(name, str) or not isinstance(options, dict):
            raise TypeError(f"a candidate {name!r} with options {options!r}")
        counts = (*row.correct, row.n, row.parameters, row.macs, row.file_bytes)
        if any(type(count) is not int or count < 0 for count in counts):
            raise ValueError("a count is not a whole number from 0")
        if not all(
            type(value) in (int, float) and math.isfinite(value) and value >= 0
            for value in (row.ms_an_image, row.training_s)
        ):
            raise ValueError("a time is not a number from 0")
        if not isinstance(row.error, str) or bool(row.error) == bool(row.correct):
            raise ValueError("a candidate has either results or the reason for having none")
        if row.correct and not 0 < row.n >= max(row.correct):
            raise ValueError(f"{row.correct} of {row.n} validation pictures")
        return row


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaderboard:
    """All candidates, the one that was chosen and its single look at the test pictures."""

    rows: tuple[LeaderboardRow, ...]
    """In the order of `ranked`."""
    chosen_seed: int
    """Of the first row, which is the chosen one."""
    test_correct: int
    test_n: int
    optimism: float
    """What `selection_optimism` says of this choice."""

    @property
    def chosen(self) -> LeaderboardRow:
        """The candidate that was chosen: the first."""
        return self.rows[0]

    @property
    def n_networks(self) -> int:
        """How many networks the choice was made among: trained candidates times seeds."""
        return sum(len(row.correct) for row in self.rows)

    @property
    def test_accuracy(self) -> float:
        """Of the chosen one, in [0, 1]."""
        return self.test_correct / self.test_n

    @property
    def test_interval(self) -> tuple[float, float]:
        """Wilson interval of the test accuracy at 95 %."""
        return wilson_interval(self.test_correct, self.test_n)

    @property
    def optimism_points(self) -> float:
        """The optimism in percentage points."""
        return self.optimism * 100

    def to_dict(self) -> dict[str, Any]:
        """Return what stands in `leaderboard.json`."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: object) -> Self:
        """Build from parsed JSON, strictly.

        Raises:
            ArtifactError("bad_leaderboard"): a field is missing, unknown or of the wrong kind.
        """
        try:
            if not isinstance(values, dict):
                raise TypeError(f"received {type(values).__name__}")
            rows = tuple(LeaderboardRow.from_dict(row) for row in values["rows"])
            board = cls(**{**values, "rows": rows})
            _check(board)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise ArtifactError(
                "bad_leaderboard",
                f"{LEADERBOARD_NAME} does not hold what a comparison writes ({error!r}). "
                "Restore the version's folder from a backup.",
            ) from error
        return board

    def lines(self) -> list[str]:
        """Return a table for the terminal, the chosen one and what its choice is worth."""
        trained = [row for row in self.rows if not row.error]
        table = [HEADINGS, *(_cells(row) for row in trained)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if position == 0 else cell.rjust(width)
                for position, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ).rstrip()
            for cells in table
        ]
        lines.insert(1, "-" * max(map(len, lines)))
        lines += [f"{row.contender}: not trained. {row.error}" for row in self.rows if row.error]
        low, high = self.test_interval
        seed = f" (seed {self.chosen_seed})" if len(self.chosen.correct) > 1 else ""
        return [
            *lines,
            "",
            f"Chosen on {self.chosen.n} validation pictures: {self.chosen.contender}{seed}.",
            f"Test, looked at once: {_percent(self.test_accuracy)} of {self.test_n} pictures "
            f"(95 % interval {_percent(low)} to {_percent(high)}).",
            self._luck(),
        ]

    def _luck(self) -> str:
        if self.n_networks == 1:
            return "Only one network could be trained, so luck had no part in the choice."
        return (
            f"Choosing the best of {self.n_networks} networks on the same validation pictures "
            f"flatters its validation accuracy by about {self.optimism_points:.1f} points; "
            "the test accuracy is free of that."
        )


def ranked(rows: Sequence[LeaderboardRow]) -> tuple[LeaderboardRow, ...]:
    """Return the candidates best first: that is the whole rule of the choice.

    By validation accuracy, mean over the seeds; equal ones by fewer multiply-adds, then in the
    order given. Those that could not be trained come last. Raises
    TrainingError("nothing_trained") where that is all of them.
    """
    trained = [row for row in rows if not row.error]
    if not trained:
        raise TrainingError(
            "nothing_trained",
            "No candidate could be trained on these pictures:\n"
            + "\n".join(f"{row.contender}: {row.error}" for row in rows),
        )
    trained.sort(key=lambda row: (-row.accuracy, row.macs))
    return (*trained, *(row for row in rows if row.error))


def selection_optimism(
    correct: npt.NDArray[np.bool_], groups: Sequence[int], *, seed: int = 0
) -> float:
    """Return by how much choosing on these pictures flatters the chosen one's accuracy there.

    Args:
        correct: (networks, n), whether each network was right on each validation picture.
        groups: (networks,), equal numbers for the same candidate with different seeds, in
            rising order of rank: ties go to the lower one.
        seed: of the random halves.

    Returns:
        The expected accuracy on the n pictures less that on new ones, at least 0; 0 for a
        single network or fewer than two pictures.

    The choice is repeated on random halves of the pictures and its winner measured on the
    other half. The mean gap is, without bias, the optimism of choosing on n/2 pictures. It is
    scaled by √½ to n: exact where candidates are equally good, and cautious where they are
    not, for with more pictures the true best is found more often.

    The bias: Tibshirani & Tibshirani, A bias correction for the minimum error rate in
    cross-validation, Annals of Applied Statistics 3 (2009), 822-829; Cawley & Talbot, On
    Over-fitting in Model Selection, Journal of Machine Learning Research 11 (2010), 2079-2107.
    """
    networks, n = correct.shape
    if networks < 2 or n < 2:
        return 0.0
    members = np.equal.outer(np.unique(groups), np.asarray(groups))  # (candidates, networks)
    halves = np.zeros((HALVINGS, n), dtype=np.float32)
    halves[:, : n // 2] = 1
    halves = np.random.default_rng(seed).permuted(halves, axis=1)
    right = correct.astype(np.float32)
    inside = halves @ right.T / (n // 2)  # (halvings, networks)
    outside = (1 - halves) @ right.T / (n - n // 2)
    means = inside @ (members / members.sum(axis=1, keepdims=True)).T
    candidates = np.argmax(np.round(means, 9), axis=1)  # rounded, so that ties are ties
    winners = np.argmax(np.where(members[candidates], inside, -1), axis=1)
    rows = np.arange(HALVINGS)
    gap = float(np.mean(inside[rows, winners] - outside[rows, winners]))
    return max(0.0, gap * math.sqrt(0.5))


def _check(board: Leaderboard) -> None:
    if not board.rows or board.rows != ranked(board.rows):
        raise ValueError("the candidates are not in the order of their results")
    counts = (board.chosen_seed, board.test_correct, board.test_n)
    if any(type(count) is not int or count < 0 for count in counts):
        raise ValueError("a count is not a whole number from 0")
    if not 0 < board.test_n >= board.test_correct:
        raise ValueError(f"{board.test_correct} of {board.test_n} test pictures")
    if type(board.optimism) not in (int, float) or not 0 <= board.optimism <= 1:
        raise ValueError(f"an optimism of {board.optimism!r}")


def _cells(row: LeaderboardRow) -> tuple[str, ...]:
    low, high = row.interval
    return (
        str(row.contender),
        _percent(row.accuracy),
        f"{_percent(low)} to {_percent(high)}",
        f"{row.parameters:,}",
        f"{row.millions:,.2f} M",
        f"{row.file_bytes / 1e6:.2f} MB",
        f"{row.ms_an_image:.2f}",
        f"{row.training_s:.0f} s",
    )


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.1f} %"
