"""What a person should know about their pictures before trusting a network trained on them."""

from collections.abc import Sequence
from dataclasses import dataclass

TINY_SIDE_PX = 32  # below it little is left to see at the sizes networks look at
FEW_PICTURES = 30  # of one class; then about 5 are tested on
IMBALANCE = 10  # times as many pictures in the largest class as in the smallest
NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedFile:
    """A file that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """The same file several times under one label; one is used."""

    kept: str
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledName:
    """A picture's name with its label."""

    name: str
    label: str

    def __str__(self) -> str:
        return f"{self.name} ({self.label})"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """Findings that do not stop a training; `lines` says them in plain words."""

    pictures: int
    """Different pictures in use."""
    class_counts: dict[str, int]
    skipped: tuple[SkippedFile, ...] = ()
    exact_duplicates: tuple[Copies, ...] = ()
    near_duplicate_groups: tuple[tuple[LabelledName, ...], ...] = ()
    """Pictures alike apart from scale or compression; a group is never split."""
    crowded: tuple[str, ...] = ()
    """Pictures that resemble too many others to be grouped with them."""
    flat: tuple[str, ...] = ()
    """Pictures of nearly one colour."""
    tiny: tuple[str, ...] = ()
    """Pictures with a side below `TINY_SIDE_PX`."""
    changed_split: tuple[str, ...] = ()
    """Known pictures that follow their group into another split since two groups merged."""

    @property
    def groups_across_labels(self) -> tuple[tuple[LabelledName, ...], ...]:
        """The near-duplicate groups whose pictures carry different labels."""
        return tuple(
            group
            for group in self.near_duplicate_groups
            if len({picture.label for picture in group}) > 1
        )

    def lines(self) -> list[str]:
        """Return one line for each kind of finding, the first with the class counts."""
        lines = [f"{self.pictures:,} pictures: {_counts(self.class_counts)}"]
        smallest = min(self.class_counts, key=self.class_counts.__getitem__)
        largest = max(self.class_counts, key=self.class_counts.__getitem__)
        if self.class_counts[smallest] < FEW_PICTURES:
            few = {k: n for k, n in self.class_counts.items() if n < FEW_PICTURES}
            lines.append(
                f"fewer than {FEW_PICTURES} pictures, so that its figures say little: "
                f"{_counts(few)}"
            )
        if self.class_counts[largest] > IMBALANCE * self.class_counts[smallest]:
            lines.append(
                f"unbalanced: {largest} has more than {IMBALANCE} times as many pictures as "
                f"{smallest}"
            )
        lines.extend(_case_lines(self.class_counts))
        if self.skipped:
            told = [f"{file.name} ({file.reason})" for file in self.skipped]
            lines.append(f"{_number(told, 'file')} skipped: {_shown(told)}")
        if self.exact_duplicates:
            copies = sum(len(copies.left_out) for copies in self.exact_duplicates)
            told = [f"{one.left_out[0]} = {one.kept}" for one in self.exact_duplicates]
            lines.append(f"{copies:,} exact copies left out: {_shown(told)}")
        if self.near_duplicate_groups:
            told = [" ~ ".join(p.name for p in group) for group in self.near_duplicate_groups]
            lines.append(
                f"{_number(told, 'near-duplicate group')}, each kept in one split: {_shown(told)}"
            )
        if self.groups_across_labels:
            told = [" ~ ".join(map(str, group)) for group in self.groups_across_labels]
            lines.append(
                f"{_number(told, 'near-duplicate group')} under different labels, which may be "
                f"mistakes: {_shown(told)}"
            )
        if self.crowded:
            lines.append(
                f"{_number(self.crowded, 'picture')} too much alike to tell copies apart (a fixed "
                "camera, a film?) and split one by one, so the test figures may be too good: "
                f"{_shown(self.crowded)}"
            )
        if self.flat:
            lines.append(f"{_number(self.flat, 'picture')} of one colour: {_shown(self.flat)}")
        if self.tiny:
            lines.append(
                f"{_number(self.tiny, 'picture')} with a side below {TINY_SIDE_PX} px: "
                f"{_shown(self.tiny)}"
            )
        if self.changed_split:
            lines.append(
                f"{_number(self.changed_split, 'picture')} moved to the split of a newly found "
                f"near duplicate: {_shown(self.changed_split)}"
            )
        return lines


def _counts(class_counts: dict[str, int]) -> str:
    return "; ".join(f"{label}: {n:,}" for label, n in sorted(class_counts.items()))


def _number(things: Sequence[object], noun: str) -> str:
    return f"{len(things):,} {noun}" + ("" if len(things) == 1 else "s")


def _shown(told: Sequence[str]) -> str:
    more = len(told) - NAMES_SHOWN
    return "; ".join(told[:NAMES_SHOWN]) + (f"; and {more:,} more" if more > 0 else "")


def _case_lines(labels: dict[str, int]) -> list[str]:
    by_folded: dict[str, list[str]] = {}
    for label in sorted(labels):
        by_folded.setdefault(label.casefold(), []).append(label)
    return [
        f"labels that differ in upper and lower case only: {', '.join(same)}"
        for same in by_folded.values()
        if len(same) > 1
    ]
