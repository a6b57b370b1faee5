"""How little a picture resembles those a network learned from. NumPy only.

A network answers with one of its classes whatever it is shown; its embedding tells more. The
score begins with the Mahalanobis distance of the embedding, brought to length 1, to the nearest
class mean, with one covariance for all classes (Lee, Lee, Lee, Shin: A Simple Unified Framework for
Detecting Out-of-Distribution Samples, NeurIPS 2018, arXiv:1807.03888). Of the covariance only
the widest axes are kept and the others share one variance (Tipping, Bishop: Probabilistic
Principal Component Analysis, JRSS B 1999): a tenth of the size, and what lies off the axes
counts, as in ViM (Wang, Li, Feng, Zhang, CVPR 2022, arXiv:2203.10807). To it comes how little
all classes together say: the energy of the calibrated logits (Liu, Wang, Owens, Li:
Energy-based Out-of-distribution Detection, NeurIPS 2020, arXiv:2010.03759). Each sees strange
pictures that the other does not; docs/networks.md, "Answers", compares them.
"""

import io
import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.novelty_file import DTYPES, ENERGY_DTYPES, read_arrays, refuse

REFUSED_SHARE = 0.05
"""Share of known pictures that may be taken for novel."""

MAX_AXES = 64
MAX_DEPTH = 4096
SPARE_AXES = 16
SUBSPACE_STEPS = 12
ENERGY_SHARE = 0.5  # of the distance's spread that the energy's is brought to
LEAST_ENERGY_SPREAD = 1e-3  # where it differs less, it tells nothing
SHRINKAGE = 0.05  # towards the mean variance, for data sets with fewer pictures than axes

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoveltyModel:
    """What the embeddings of known pictures look like.

    Attributes:
        means: float16 (classes, depth), of embeddings of length 1.
        axes: float16 (depth, k), orthonormal: where embeddings of a class differ most.
        variances: float32 (k,) above 0, along the axes.
        rest_variance: above 0, along every other direction.
        threshold: a larger score is novel; in the scores' unit, standard deviations.
        energy_weight: what a unit of energy above the usual adds to the score; 0 or more.
        usual_energy: median of known pictures.
    """

    means: npt.NDArray[np.float16]
    axes: npt.NDArray[np.float16]
    variances: Floats
    rest_variance: float
    threshold: float
    energy_weight: float = 0.0
    usual_energy: float = 0.0

    @property
    def depth(self) -> int:
        """Length of the embeddings."""
        return int(self.means.shape[1])

    @classmethod
    def fit(
        cls,
        train_embeddings: npt.ArrayLike,
        train_truth: npt.ArrayLike,
        validation_embeddings: npt.ArrayLike,
        validation_logits: npt.ArrayLike,
    ) -> Self:
        """Learn means and spread on training pictures and all else on validation ones.

        The threshold leaves at most `REFUSED_SHARE` of the validation pictures above it.

        Args:
            train_embeddings: (n, depth), finite; depth up to `MAX_DEPTH`.
            train_truth: (n,) whole numbers; every class up to the largest must occur.
            validation_embeddings: (m, depth), finite, at least one.
            validation_logits: (m, classes), finite, calibrated: divided by the temperature.

        Raises:
            ValueError: anything else.
        """
        train, validation = _embeddings(train_embeddings), _embeddings(validation_embeddings)
        truth = np.asarray(train_truth)
        if validation.shape[1] != train.shape[1] or not 1 <= train.shape[1] <= MAX_DEPTH:
            raise ValueError(
                f"embeddings must have one depth of 1 to {MAX_DEPTH}, received "
                f"{train.shape[1]} for training and {validation.shape[1]} for validation."
            )
        if truth.shape != train.shape[:1] or truth.dtype.kind not in "iu" or truth.min() < 0:
            raise ValueError(
                f"train_truth must be a class index for each of {len(train)} pictures, "
                f"received {truth.dtype} {truth.shape}."
            )
        counts = np.bincount(truth)
        if not counts.all():
            raise ValueError("every class must have a training picture; one has none.")
        known = _unit(train)
        means = np.zeros((len(counts), known.shape[1]))
        np.add.at(means, truth, known)
        means /= counts[:, np.newaxis]
        axes, variances, rest_variance = _spread(known - means[truth])
        model = cls(
            means=means.astype(np.float16),
            axes=axes.astype(np.float16),
            variances=variances.astype(np.float32),
            rest_variance=rest_variance,
            threshold=0.0,
        )
        logits = np.asarray(validation_logits, np.float64)
        if logits.shape[:-1] != validation.shape[:1] or not np.isfinite(logits).all():
            raise ValueError(
                f"validation_logits must be finite and (pictures, classes) for {len(validation)} "
                f"pictures, received shape {logits.shape}."
            )
        energies = _energy(logits)
        spread = float(energies.std())
        if spread > LEAST_ENERGY_SPREAD:
            weight = ENERGY_SHARE * float(model.distance(validation).std()) / spread
            model = replace(
                model,
                energy_weight=float(np.float32(weight)),
                usual_energy=float(np.float32(np.median(energies))),
            )
        scores = np.sort(model.score(validation, logits))
        kept = len(scores) - math.floor(len(scores) * REFUSED_SHARE)
        return replace(model, threshold=float(scores[kept - 1]))

    def score(self, embeddings: npt.ArrayLike, logits: npt.ArrayLike) -> Floats:
        """Return how strange pictures are: about 1 for a typical one, larger is stranger.

        Args:
            embeddings: (..., depth), finite.
            logits: (..., classes), finite, calibrated: divided by the temperature.

        Returns:
            float32 (...), 0 or more: the distance, and the unusual energy in its unit.

        Raises:
            ValueError: another depth.
        """
        unusual = self.energy_weight * (_energy(logits) - self.usual_energy)
        return np.asarray(np.maximum(self.distance(embeddings) + unusual, 0.0), np.float32)

    def distance(self, embeddings: npt.ArrayLike) -> Floats:
        """Return how far embeddings (..., depth) lie from the nearest class, float32 (...).

        In standard deviations, a dimension's on average. Raises ValueError for another depth.
        """
        given = np.asarray(embeddings, np.float64)
        if given.ndim < 1 or given.shape[-1] != self.depth:
            raise ValueError(
                f"embeddings must be (..., {self.depth}), received shape {given.shape}."
            )
        points, means = _unit(given), self.means.astype(np.float64)
        axes = self.axes.astype(np.float64)
        along = (points @ axes)[..., np.newaxis, :] - means @ axes
        squared = along**2
        whole = (
            (points**2).sum(axis=-1)[..., np.newaxis]
            - 2 * points @ means.T
            + (means**2).sum(axis=-1)
        )
        rest = np.maximum(whole - squared.sum(axis=-1), 0.0)
        distance = (squared / self.variances).sum(axis=-1) + rest / self.rest_variance
        return np.asarray(np.sqrt(distance.min(axis=-1) / self.depth), np.float32)

    def to_bytes(self) -> bytes:
        """Return an .npz of 2 · depth · (classes + k) bytes and a little more."""
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {
            name: np.asarray(getattr(self, name), dtype)
            for name, dtype in (DTYPES | ENERGY_DTYPES).items()
        }
        np.savez(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            ArtifactError: `bad_novelty` for anything else; nothing is unpickled.
        """
        arrays = read_arrays(data)
        shapes = {name: array.shape for name, array in arrays.items()}
        depth, k = shapes["axes"] if len(shapes["axes"]) == 2 else (0, 0)
        if (
            len(shapes["means"]) != 2
            or not shapes["means"][0]
            or shapes["means"][1] != depth
            or not 1 <= depth <= MAX_DEPTH
            or shapes["variances"] != (k,)
            or shapes["rest_variance"] != ()
            or shapes["threshold"] != ()
            or any(shapes.get(name, ()) for name in ENERGY_DTYPES)
        ):
            refuse(f"its arrays do not fit together: {shapes}")
        if not all(np.isfinite(array).all() for array in arrays.values()):
            refuse("it holds NaN or infinity")
        if (arrays["variances"] <= 0).any() or arrays["rest_variance"] <= 0:
            refuse("a variance is not above 0")
        energy = {name: float(arrays.get(name, 0.0)) for name in ENERGY_DTYPES}
        if energy["energy_weight"] < 0:
            refuse("the weight of the energy is below 0")
        return cls(
            means=arrays["means"],
            axes=arrays["axes"],
            variances=arrays["variances"],
            rest_variance=float(arrays["rest_variance"]),
            threshold=float(arrays["threshold"]),
            **energy,
        )


def _embeddings(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    given = np.asarray(values)
    if given.ndim != 2 or not len(given) or given.dtype.kind not in "fiu":
        raise ValueError(
            "embeddings must be numbers (pictures, depth) with at least one picture, received "
            f"{given.dtype} {given.shape}."
        )
    if not np.isfinite(given).all():
        raise ValueError("embeddings must be finite; received NaN or infinity.")
    return given.astype(np.float64)


def _energy(logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return -ln Σ exp of the logits over the last axis."""
    return np.asarray(-np.logaddexp.reduce(np.asarray(logits, np.float64), axis=-1))


def _unit(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    lengths = np.linalg.norm(points, axis=-1, keepdims=True)
    scaled: npt.NDArray[np.float64] = points / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled


def _spread(
    deviations: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], float]:
    """Return axes (depth, k), the variances along them (k,) and that of every other direction."""
    depth = deviations.shape[1]
    k = min(MAX_AXES, depth - 1)
    covariance = deviations.T @ deviations / len(deviations)
    # Subspace iteration (Halko, Martinsson, Tropp 2011): all axes would take a hundred times
    # as long as the few that are kept.
    basis = np.random.default_rng(0).normal(size=(depth, min(k + SPARE_AXES, depth)))
    for _ in range(SUBSPACE_STEPS):
        basis, _ = np.linalg.qr(covariance @ basis)
    values, turn = np.linalg.eigh(basis.T @ covariance @ basis)
    widest, axes = np.maximum(values[::-1][:k], 0.0), (basis @ turn[:, ::-1])[:, :k]
    total = float(np.trace(covariance))
    # Where no two embeddings of a class differ, any other direction is just as strange.
    mean = max(total / depth, 1e-9)
    rest = max(total - float(widest.sum()), 0.0) / (depth - k)
    variances = (1 - SHRINKAGE) * widest + SHRINKAGE * mean
    return axes, variances, float(np.float32((1 - SHRINKAGE) * rest + SHRINKAGE * mean))
