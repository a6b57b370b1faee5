"""The health report as an HTML page that shows the pictures behind each finding."""

from collections.abc import Mapping
from dataclasses import dataclass

from ml.dataset import Dataset, Example, read_pixels
from ml.errors import LacewingError
from ml.health import Finding, Instance
from ml.pages import render_page, thumbnail_uri
from ml.splits import SPLITS

PICTURES_SHOWN = 24  # of one finding; some 60 kB
INSTANCES_SHOWN = 24  # of one finding that has no pictures to show, as skipped files


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPicture:
    """A picture on the page."""

    name: str
    label: str
    split: str
    uri: str | None
    """None where the file has changed since it was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownInstance:
    """One case of a finding on the page."""

    text: str
    pictures: tuple[ShownPicture, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFinding:
    """A finding on the page, with the first of its cases."""

    summary: str
    instances: tuple[ShownInstance, ...]
    total: int


def render_health(dataset: Dataset, *, title: str) -> bytes:
    """Return one self-contained HTML file, UTF-8: class counts, then every finding.

    At most `PICTURES_SHOWN` pictures of a finding are decoded again, small, and shown; their
    total number is always said.

    Args:
        title: what people call the pictures, as the names of their sources.
    """
    examples = {example.sha256: example for example in dataset.examples}
    counts = dataset.counts()
    totals = {label: sum(splits.values()) for label, splits in counts.items()}
    return render_page(
        "health.html",
        title=title,
        pictures=dataset.health.pictures,
        splits=SPLITS,
        counts=counts,
        totals=totals,
        split_totals={split: len(dataset.of_split(split)) for split in SPLITS},
        largest=max(totals.values()),
        findings=[_shown(finding, examples) for finding in dataset.health.findings()],
    )


def _shown(finding: Finding, examples: Mapping[str, Example]) -> ShownFinding:
    instances = []
    room = PICTURES_SHOWN
    for instance in finding.instances[:INSTANCES_SHOWN]:
        if len(instance.pictures) > room:
            break
        room -= len(instance.pictures)
        instances.append(_shown_instance(instance, examples))
    if finding.instances and not instances:  # a single group larger than all the room
        first = finding.instances[0]
        cut = Instance(text=first.text, pictures=first.pictures[:PICTURES_SHOWN])
        instances.append(_shown_instance(cut, examples))
    return ShownFinding(
        summary=finding.summary[0].upper() + finding.summary[1:],
        instances=tuple(instances),
        total=len(finding.instances),
    )


def _shown_instance(instance: Instance, examples: Mapping[str, Example]) -> ShownInstance:
    return ShownInstance(
        text=instance.text,
        pictures=tuple(_shown_picture(examples[p.sha256]) for p in instance.pictures),
    )


def _shown_picture(example: Example) -> ShownPicture:
    try:
        uri = thumbnail_uri(read_pixels(example))
    except LacewingError:
        uri = None
    return ShownPicture(name=example.name, label=example.label, split=example.split, uri=uri)
