"""What a person should know about their pictures before trusting a network trained on them."""

from collections.abc import Iterable, Sequence
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
class LabelledName:
    """A picture in use: its name for people, and its hash to find it by."""

    name: str
    label: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name} ({self.label})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """The same file several times under one label; one is used."""

    kept: LabelledName
    left_out: tuple[str, ...]
    """Names, of which there is at least one."""
    leaked: bool = False
    """Its source has it among the pictures for testing and among those for training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One case of a finding: in words, and the pictures to look at."""

    text: str
    pictures: tuple[LabelledName, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something remarkable, with every case of it."""

    summary: str
    instances: tuple[Instance, ...] = ()

    def line(self) -> str:
        """Return one line of text with the first few cases."""
        told = [instance.text for instance in self.instances[:NAMES_SHOWN]]
        more = len(self.instances) - len(told)
        told += [f"and {more:,} more"] if more else []
        return f"{self.summary}: {'; '.join(told)}" if told else self.summary


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
    not_compared: int = 0
    """Rows of `.npz` files, which are not searched for near duplicates."""
    crowded: tuple[LabelledName, ...] = ()
    """Pictures that resemble too many others to be grouped with them."""
    flat: tuple[LabelledName, ...] = ()
    """Pictures of nearly one colour."""
    blank: tuple[LabelledName, ...] = ()
    """Mostly of one colour, though not flat; empty where that is normal, as among drawings."""
    blurred: tuple[LabelledName, ...] = ()
    """Without a single sharp edge."""
    tiny: tuple[LabelledName, ...] = ()
    """Pictures with a side below `TINY_SIDE_PX`."""
    changed_split: tuple[LabelledName, ...] = ()
    """Known pictures that follow their group into another split since two groups merged."""
    unfollowed_split: tuple[LabelledName, ...] = ()
    """Those that are not in the split that their manifest says."""

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
        counts = "; ".join(f"{label}: {n:,}" for label, n in sorted(self.class_counts.items()))
        return [
            f"{self.pictures:,} pictures: {counts}",
            *(finding.line() for finding in self.findings()),
        ]

    def findings(self) -> list[Finding]:
        """Return what is remarkable, each kind once; empty for a data set without a flaw."""
        return [*self._about_classes(), *self._about_copies(), *self._about_pictures()]

    def _about_classes(self) -> Iterable[Finding]:
        smallest = min(self.class_counts, key=self.class_counts.__getitem__)
        largest = max(self.class_counts, key=self.class_counts.__getitem__)
        if self.class_counts[smallest] < FEW_PICTURES:
            yield Finding(
                summary=f"fewer than {FEW_PICTURES} pictures, so that its figures say little",
                instances=tuple(
                    Instance(text=f"{label}: {n:,}")
                    for label, n in sorted(self.class_counts.items())
                    if n < FEW_PICTURES
                ),
            )
        if self.class_counts[largest] > IMBALANCE * self.class_counts[smallest]:
            yield Finding(
                summary=f"unbalanced: {largest} has more than {IMBALANCE} times as many pictures "
                f"as {smallest}"
            )
        for same in _same_but_for_case(self.class_counts):
            yield Finding(
                summary=f"labels that differ in upper and lower case only: {', '.join(same)}"
            )

    def _about_copies(self) -> Iterable[Finding]:
        if self.skipped:
            yield Finding(
                summary=f"{_number(self.skipped, 'file')} skipped",
                instances=tuple(
                    Instance(text=f"{file.name} ({file.reason})") for file in self.skipped
                ),
            )
        if self.exact_duplicates:
            copies = sum(len(copies.left_out) for copies in self.exact_duplicates)
            yield Finding(
                summary=f"{copies:,} exact copies left out",
                instances=_copies(self.exact_duplicates),
            )
        if leaked := [copies for copies in self.exact_duplicates if copies.leaked]:
            yield Finding(
                summary=f"{_number(leaked, 'picture')} for testing also among those for training, "
                "from which they are left out",
                instances=_copies(leaked),
            )
        if self.near_duplicate_groups:
            yield Finding(
                summary=f"{_number(self.near_duplicate_groups, 'near-duplicate group')}, each kept "
                "in one split",
                instances=tuple(
                    Instance(text=" ~ ".join(p.name for p in group), pictures=group)
                    for group in self.near_duplicate_groups
                ),
            )
        if across_labels := self.groups_across_labels:
            yield Finding(
                summary=f"{_number(across_labels, 'near-duplicate group')} under different labels, "
                "which may be mistakes",
                instances=tuple(
                    Instance(text=" ~ ".join(map(str, group)), pictures=group)
                    for group in across_labels
                ),
            )
        if self.crowded:
            yield _about(
                self.crowded,
                "too much alike to tell copies apart (a fixed camera, a film?) and split one by "
                "one, so the test figures may be too good",
            )
        if self.not_compared:
            yield Finding(
                summary=f"{self.not_compared:,} pictures of .npz files were searched for exact "
                "copies only, not for near duplicates"
            )

    def _about_pictures(self) -> Iterable[Finding]:
        for pictures, what in (
            (self.flat, "of one colour"),
            (self.blank, "mostly blank"),
            (self.blurred, "blurred all over"),
            (self.tiny, f"with a side below {TINY_SIDE_PX} px"),
            (self.changed_split, "moved to the split of a newly found near duplicate"),
            (
                self.unfollowed_split,
                "not in the split that the manifest says, because of a near duplicate or an "
                "earlier training",
            ),
        ):
            if pictures:
                yield _about(pictures, what)


def _about(pictures: Sequence[LabelledName], what: str) -> Finding:
    return Finding(
        summary=f"{_number(pictures, 'picture')} {what}",
        instances=tuple(Instance(text=p.name, pictures=(p,)) for p in pictures),
    )


def _copies(found: Iterable[Copies]) -> tuple[Instance, ...]:
    return tuple(
        Instance(
            text=f"{' = '.join(copies.left_out)} = {copies.kept.name}", pictures=(copies.kept,)
        )
        for copies in found
    )


def _number(things: Sequence[object], noun: str) -> str:
    return f"{len(things):,} {noun}" + ("" if len(things) == 1 else "s")


def _same_but_for_case(labels: Iterable[str]) -> list[list[str]]:
    by_folded: dict[str, list[str]] = {}
    for label in sorted(labels):
        by_folded.setdefault(label.casefold(), []).append(label)
    return [same for same in by_folded.values() if len(same) > 1]
