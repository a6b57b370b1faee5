"""A trained network made ready to serve: exported, calibrated, and not yet tested."""

import importlib.metadata
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml import events
from ml.architectures import NetworkOptions, architecture_named, build_network
from ml.artifact import FORMAT_VERSION, ArtifactMetadata
from ml.calibration import fit_temperature, softmax
from ml.config import TrainingConfig
from ml.conformal import fit_thresholds
from ml.dataset import Dataset, Example
from ml.export import check_exportable, export_litert, round_to_float16
from ml.features import read_features
from ml.fitting import TrainingData
from ml.novelty import NoveltyModel
from ml.outputs import Outputs, served_outputs
from ml.pipeline import PictureCache
from ml.plan import Plan
from ml.scoring import served
from ml.training import TrainedNetwork, train

LIBRARIES = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "pillow", "ai-edge-litert")
MOST_TRAIN_OUTPUTS = 10_000  # training pictures that the finished network looks at again


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One trained network with all that was fitted on training and validation pictures."""

    trained: TrainedNetwork
    network: bytes
    """The LiteRT flatbuffer."""
    metadata: ArtifactMetadata
    train: Outputs
    """Of at most `MOST_TRAIN_OUTPUTS` training pictures, evenly spread."""
    validation: Outputs
    judged: tuple[Outputs, Outputs]
    """Training and validation outputs to judge labels and numbers of pictures by: on a
    backbone with the embeddings from before it was refined, for afterwards the network has
    the training pictures by heart, wrong labels and all."""
    novelty: NoveltyModel
    config: TrainingConfig
    training_s: float


def make_candidate(
    dataset: Dataset,
    plan: Plan,
    cache: PictureCache,
    *,
    name: str,
    sources: Sequence[Path],
    workspace: Path,
) -> Candidate:
    """Train as `plan` says, export, and fit what makes the answers honest.

    A training that was interrupted in `workspace` goes on. The test pictures are not looked
    at. Raises TrainingError for a plan that cannot be followed or a network that cannot be
    exported.
    """
    _check_network(plan, len(dataset.labels))
    started_s = time.monotonic()
    trained = _train(dataset, plan, cache, workspace)
    training_s = time.monotonic() - started_s
    round_to_float16(trained.network)
    events.stage("exporting")
    events.say("Exporting.")
    network = export_litert(trained.network)
    metadata = ArtifactMetadata(
        format_version=FORMAT_VERSION,
        name=name,
        labels=dataset.labels,
        preprocessing=plan.preprocessing,
        architecture=plan.config.architecture,
        parameters=trained.network.count_params(),
        config=plan.config.to_dict() | {"weights": Path(plan.config.weights).name},
        temperature=1.0,
        dataset={
            "fingerprint": dataset.fingerprint,
            "counts": dataset.counts(),
            "sources": [source.name for source in sources],
            "reviewed": sum(e.is_upload for e in dataset.examples),
        },
        libraries=_library_versions(),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        files={},
    )
    tested = dataset.of_split("validation")
    sample = evenly_spread(dataset.of_split("train"), MOST_TRAIN_OUTPUTS)
    first = _first_embeddings(dataset, sample, workspace)
    if first is None or plan.config.epochs:
        with served(metadata, network, workspace) as classifier:
            validation = served_outputs(classifier, *cache.of(tested), tested)
            train_outputs = served_outputs(classifier, *cache.of(sample), sample)
    else:
        train_outputs = _of_the_head(trained, first[0], cache.truth_of(sample), sample)
        validation = _of_the_head(trained, first[1], cache.truth_of(tested), tested)
    temperature = fit_temperature(validation.logits, validation.truth)
    probabilities = softmax(validation.logits, temperature)
    thresholds = fit_thresholds(probabilities, validation.truth)
    return Candidate(
        trained=trained,
        network=network,
        metadata=replace(
            metadata,
            temperature=temperature,
            prediction_set_thresholds={f"{level:.2f}": q for level, q in thresholds.items()},
        ),
        train=train_outputs,
        validation=validation,
        judged=(train_outputs, validation)
        if first is None
        else (
            replace(train_outputs, embeddings=first[0]),
            replace(validation, embeddings=first[1]),
        ),
        novelty=NoveltyModel.fit(
            train_outputs.embeddings,
            train_outputs.truth,
            validation.embeddings,
            validation.logits / temperature,
        ),
        config=plan.config,
        training_s=training_s,
    )


def _of_the_head(
    trained: TrainedNetwork,
    embeddings: npt.NDArray[np.float32],
    truth: npt.NDArray[np.int32],
    examples: Sequence[Example],
) -> Outputs:
    """Return what the network says, from the embeddings (n, depth) that its head learned from.

    Where only the head is new, the backbone is still the one that gave them, up to the rounding
    of its weights, and need not run again: most of the time of a quick training.
    """
    return Outputs(
        logits=np.asarray(trained.network.get_layer("head")(embeddings, training=False)),
        embeddings=embeddings,
        truth=truth,
        examples=tuple(examples),
    )


def _first_embeddings(
    dataset: Dataset, sample: Sequence[Example], workspace: Path
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
    """Return what a backbone made of training and validation pictures before it was refined.

    Of the training pictures only the sample; None for a network without a backbone.
    """
    features = read_features(workspace)
    if features is None:
        return None
    rows = {(e.sha256, e.name): row for row, e in enumerate(dataset.of_split("train"))}
    return features[0][[rows[e.sha256, e.name] for e in sample]], features[1]


def _check_network(plan: Plan, classes: int) -> None:
    """Raise TrainingError now for a network that could not be served after its training."""
    config, preprocessing = plan.config, plan.preprocessing
    if architecture_named(config.architecture).memorise is not None:
        return
    channels = 1 if preprocessing.color == "grey" else 3
    check_exportable(
        build_network(
            config.architecture,
            (preprocessing.height_px, preprocessing.width_px, channels),
            classes,
            "none",
            NetworkOptions.from_dict(config.options),
        ),
        views=2 if config.mirror_averaged else 1,
    )


def evenly_spread(examples: Sequence[Example], most: int) -> tuple[Example, ...]:
    """Return about `most` of the examples at equal distances, at least one of each label."""
    if len(examples) <= most:
        return tuple(examples)
    by_label: dict[str, list[Example]] = {}
    for example in examples:
        by_label.setdefault(example.label, []).append(example)
    kept: list[Example] = []
    for members in by_label.values():
        number = max(1, round(most * len(members) / len(examples)))
        kept += [members[row] for row in np.linspace(0, len(members) - 1, number).astype(int)]
    return tuple(kept)


def _train(dataset: Dataset, plan: Plan, cache: PictureCache, workspace: Path) -> TrainedNetwork:
    pictures, truth = cache.of(dataset.of_split("train"))
    validation, validation_truth = cache.of(dataset.of_split("validation"))
    data = TrainingData(
        labels=dataset.labels,
        train=pictures,
        train_truth=truth,
        validation=validation,
        validation_truth=validation_truth,
    )
    return train(data, plan.config, workspace=workspace)


def _library_versions() -> dict[str, str]:
    installed = {
        distribution.metadata["Name"].lower(): distribution.version
        for distribution in importlib.metadata.distributions()
    }
    return {name: installed[name] for name in LIBRARIES if name in installed}
