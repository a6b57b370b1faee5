"""One job: labelled pictures in, a finished model version out.

Run as a child process, `python -m ml build SPEC.json`, so that TensorFlow's memory goes away
with it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from ml import events
from ml.candidate import make_candidate
from ml.dataset import Dataset, LabelledFile, Split, load_dataset, read_known_splits
from ml.downloads import fetch_sources
from ml.errors import TrainingError
from ml.evaluation import format_results
from ml.pipeline import cache_pictures
from ml.plan import Plan, make_plan
from ml.scoring import score
from ml.training_options import TrainingOptions
from ml.version import write_version


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSpec:
    """All that a build must know; paths are absolute."""

    name: str
    output: Path
    """Folder of the version to write; must not exist."""
    workspace: Path
    """Folder of this training: plan, checkpoint, features."""
    cache_dir: Path
    sources: list[Path]
    """Also names of public sets, as `ml.named_sets.located` returns them."""
    datasets_url: str = ""
    """Server to fetch named sets from instead of their origins."""
    reviewed: list[LabelledFile] = field(default_factory=list)
    known_splits: list[Path] = field(default_factory=list)
    """`examples.csv.gz` of earlier versions, oldest first."""
    incumbent: Path | None = None
    options: TrainingOptions = field(default_factory=TrainingOptions)
    resume: bool = False
    serving_only: bool = False
    """Leave out `model.keras`, which only further training would need."""
    notes: list[str] = field(default_factory=list)
    """Sentences for the model card."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the JSON that the parent wrote: these fields, with paths as strings."""
        return cls.from_dict(json.loads(path.read_text()))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from parsed JSON."""
        fields = dict(values)
        for name in ("output", "workspace", "cache_dir"):
            fields[name] = Path(fields[name])
        for name in ("sources", "known_splits"):
            fields[name] = [Path(item) for item in fields[name]]
        fields["incumbent"] = Path(fields["incumbent"]) if fields["incumbent"] else None
        fields["options"] = TrainingOptions(**fields["options"])
        fields["reviewed"] = [
            LabelledFile(path=Path(item["path"]), label=item["label"], name=item["name"])
            for item in fields["reviewed"]
        ]
        return cls(**fields)


def build(spec: BuildSpec) -> None:
    """Train, calibrate, export, score and write one version; print what happens.

    Raises LacewingError for whatever a person can mend; then `spec.output` does not exist,
    and what was trained waits in the workspace for `resume`.
    """
    dataset = read_pictures(spec)
    plan = follow_plan(spec, dataset)
    events.say("\n".join(plan.lines()))
    events.stage("decoding")
    cache = cache_pictures(dataset, plan.preprocessing, cache_dir=spec.cache_dir)
    candidate = make_candidate(
        dataset, plan, cache, name=spec.name, sources=spec.sources, workspace=spec.workspace
    )
    events.stage("scoring")
    scores = score(
        candidate.metadata,
        candidate.network,
        dataset,
        cache,
        incumbent=spec.incumbent,
        scratch=spec.workspace,
        with_pictures=not spec.serving_only,
    )
    events.say(format_results(scores.candidate, scores.incumbent))
    events.stage("writing")
    write_version(
        spec.output,
        candidate,
        scores,
        dataset,
        cache,
        notes=spec.notes,
        serving_only=spec.serving_only,
    )


def read_pictures(spec: BuildSpec) -> Dataset:
    """Load the data set that the spec names, and print what is remarkable about it."""
    events.stage("reading")
    dataset = load_dataset(
        fetch_sources(spec.sources, cache_dir=spec.cache_dir, mirror=spec.datasets_url),
        unpack_dir=spec.cache_dir / "unpacked",
        reviewed=spec.reviewed,
        known_splits=_known_splits(spec),
    )
    events.say("\n".join(dataset.health.lines()))
    return dataset


def _known_splits(spec: BuildSpec) -> dict[str, Split]:
    known: dict[str, Split] = {}
    for path in spec.known_splits:
        known |= read_known_splits(path)
    return known


def follow_plan(spec: BuildSpec, dataset: Dataset) -> Plan:
    """Return the plan to follow: a new one, or that of the training to resume.

    Raises TrainingError for options that cannot be followed, `nothing_to_resume`, or
    `data_changed` where the pictures are no longer those that the training began with.
    """
    path = spec.workspace / "plan.json"
    if not spec.resume:
        for leftover in (*spec.workspace.glob("*.np[yz]"), *spec.workspace.glob("*.part")):
            leftover.unlink()
        plan = make_plan(dataset, spec.options)
        plan.save(path)
        return plan
    plan = Plan.load(path)
    if plan.fingerprint != dataset.fingerprint:
        raise TrainingError(
            "data_changed",
            "The pictures or their labels have changed since the training was interrupted, "
            "so it cannot go on. Run again without --resume.",
        )
    return plan


def run(spec_path: Path) -> None:
    """Do the job that a specification file names."""
    build(BuildSpec.load(spec_path))
