"""A model version in memory, ready to classify: LiteRT, without TensorFlow, Keras or Django."""

import queue
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from ml.artifact import NETWORK_NAME, NOVELTY_NAME, ArtifactMetadata, read_artifact
from ml.calibration import softmax
from ml.conformal import prediction_set
from ml.errors import ArtifactError
from ml.network_checks import (
    INPUT,
    bad_network,
    check_flatbuffer,
    check_signature,
    check_tensors,
    input_shape,
)
from ml.novelty import NoveltyModel
from ml.preprocessing import Preprocessing, prepare

SIGNATURE = "serve"

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """What a classifier says of one picture.

    Attributes:
        labels: the n class names.
        probabilities: float32 (n,) in [0, 1], calibrated, summing to 1.
        logits: float32 (n,), before calibration.
        embedding: float32 (d,), the features that the last layer saw.
        activation: float32 (h, w, n), how strongly each place speaks for each class; None
            for a network that does not give it.
        prediction_sets: level to the labels of `ml.conformal.prediction_set`, most probable
            first; empty for a model version without thresholds.
        novelty: how little the picture resembles those of training, larger is stranger; None
            for a model version that cannot tell.
        novelty_threshold: above it the picture shows none of the classes.
    """

    labels: tuple[str, ...]
    probabilities: Floats
    logits: Floats
    embedding: Floats
    activation: Floats | None
    prediction_sets: dict[float, tuple[str, ...]] = field(default_factory=dict)
    novelty: float | None = None
    novelty_threshold: float | None = None

    @property
    def is_novel(self) -> bool | None:
        """Whether the picture seems to show none of the classes; None where nobody can tell."""
        if self.novelty is None or self.novelty_threshold is None:
            return None
        return self.novelty > self.novelty_threshold

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """Return the k most probable labels with their probabilities, most probable first.

        All labels when k exceeds their number; equal probabilities keep the labels' order.

        Raises:
            ValueError: k is less than 1.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, received {k}.")
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.labels[i], float(self.probabilities[i])) for i in order]


class Classifier:
    """A verified model version that classifies pictures; safe to share between threads.

    Interpreters cannot be shared while they run, so they wait in a last-in-first-out pool
    that grows to the number of pictures classified at once: the warm one is always taken
    first, and memory follows the load, not the number of threads.
    """

    def __init__(
        self,
        metadata: ArtifactMetadata,
        network_path: Path,
        novelty_model: NoveltyModel | None = None,
    ) -> None:
        """Take a network that `load` has verified; use `load`."""
        self.metadata = metadata
        self._network_path = network_path
        self._novelty_model = novelty_model
        self._set_thresholds = {
            float(level): threshold
            for level, threshold in metadata.prediction_set_thresholds.items()
        }
        self._runners: queue.LifoQueue[Any] = queue.LifoQueue()

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return self.metadata.labels

    @property
    def novelty_model(self) -> NoveltyModel | None:
        """What tells strange pictures; None in a version made before there was one."""
        return self._novelty_model

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture becomes the network's input."""
        return self.metadata.preprocessing

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Verify, open and warm up the model version in a folder.

        The SHA-256 of every file is compared before any is opened. Then: a LiteRT network
        with finite weights, whose input is the picture that the metadata describes and
        whose outputs are as many as the labels, answering black, white and noise with
        finite numbers.

        Raises:
            ArtifactError: `missing_file`, `altered_file`, `unknown_format`, `bad_metadata`,
                `bad_preprocessing`, `bad_network`, `nan_weights`, `labels_mismatch` or
                `bad_novelty`.
        """
        metadata = read_artifact(directory)
        path = directory / NETWORK_NAME
        check_flatbuffer(path)
        try:
            check_tensors(path)
            classifier = cls(metadata, path, _read_novelty(directory, metadata))
            runner = classifier._new_runner()
            check_signature(runner, metadata)
            _check_novelty(runner, classifier.novelty_model)
            classifier._runners.put(runner)
            classifier._warm_up()
        except ArtifactError:
            raise
        except (ValueError, RuntimeError, TypeError, KeyError, OverflowError, MemoryError) as error:
            # LiteRT reports damage in the words of whatever layer met it.
            raise bad_network(path, f"LiteRT cannot run it ({error})") from error
        return classifier

    def classify(self, prepared: Pixels) -> Classification:
        """Classify one prepared picture.

        Args:
            prepared: uint8 (height, width, channels) exactly as `preprocessing` says.

        Raises:
            ValueError: the wrong shape or dtype.
            ArtifactError: `bad_network`, the network answered NaN or infinity.
        """
        height, width, channels = shape = input_shape(self.preprocessing)
        if prepared.dtype != np.uint8 or prepared.shape != shape:
            raise ValueError(
                f"prepared must be uint8 of shape {(height, width, channels)}, received "
                f"{prepared.dtype} of shape {prepared.shape}. Use ml.preprocessing.prepare."
            )
        outputs = self._run(np.ascontiguousarray(prepared)[np.newaxis])
        logits = outputs["logits"][0]
        if not np.isfinite(logits).all():
            raise bad_network(self._network_path, "it answered NaN or infinity")
        activation = outputs.get("activation")
        embedding = outputs["embedding"][0]
        probabilities = softmax(logits, self.metadata.temperature)
        novelty_model = self._novelty_model
        return Classification(
            labels=self.labels,
            probabilities=probabilities,
            logits=logits,
            embedding=embedding,
            activation=None if activation is None else activation[0],
            prediction_sets={
                level: tuple(self.labels[i] for i in prediction_set(probabilities, threshold))
                for level, threshold in self._set_thresholds.items()
            },
            novelty=None
            if novelty_model is None
            else float(novelty_model.score(embedding, logits / self.metadata.temperature)),
            novelty_threshold=None if novelty_model is None else novelty_model.threshold,
        )

    def classify_picture(self, pixels: Pixels) -> Classification:
        """Prepare and classify a decoded picture, uint8 (height, width, 3) RGB."""
        return self.classify(prepare(pixels, self.preprocessing).pixels)

    def _run(self, batch: Pixels) -> dict[str, Floats]:
        """Return copies of the outputs for a batch of one, (1, height, width, channels)."""
        try:
            runner = self._runners.get_nowait()
        except queue.Empty:
            runner = self._new_runner()
        # Not returned to the pool when it raises: its state is then unknown.
        outputs: dict[str, Floats] = runner(**{INPUT: batch})
        self._runners.put(runner)
        return outputs

    def _new_runner(self) -> Any:
        # By path, not by content: the weights are then mapped and shared between processes.
        interpreter = Interpreter(model_path=str(self._network_path), num_threads=1)
        interpreter.allocate_tensors()
        return interpreter.get_signature_runner(SIGNATURE)

    def _warm_up(self) -> None:
        shape = input_shape(self.preprocessing)
        noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        for picture in (np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), noise):
            self.classify(picture)


def _read_novelty(directory: Path, metadata: ArtifactMetadata) -> NoveltyModel | None:
    if NOVELTY_NAME not in metadata.files:
        return None
    return NoveltyModel.from_bytes((directory / NOVELTY_NAME).read_bytes())


def _check_novelty(runner: Any, novelty_model: NoveltyModel | None) -> None:
    depth = int(runner.get_output_details()["embedding"]["shape"][-1])
    if novelty_model is not None and novelty_model.depth != depth:
        raise ArtifactError(
            "bad_novelty",
            f"{NOVELTY_NAME} is for embeddings of {novelty_model.depth} numbers, but those of "
            f"the network have {depth}. Export the network and its novelty model together.",
        )
