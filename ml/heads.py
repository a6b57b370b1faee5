"""A small linear classifier on embeddings, fitted in closed form. NumPy only.

Fast enough to be fitted a hundred times, which is what learning curves and cross-validation
need: embeddings are condensed once, then a fit is one small system of equations.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

CONDENSED_DEPTH = 192
POWER_STEPS = 2  # of the subspace iteration; the spectrum of embeddings falls fast
UNSEEN_LOGIT = -1e4  # of a class without pictures: probability 0 at any temperature

Floats = npt.NDArray[np.float32]
Classes = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Condenser:
    """Standardises embeddings and keeps the directions in which they differ most.

    Randomised principal components: Halko, Martinsson, Tropp: Finding Structure with
    Randomness, SIAM Review 53 (2011), 217-288.
    """

    mean: Floats
    scale: Floats
    directions: Floats
    """(d, k), orthonormal columns."""

    @classmethod
    def fit(cls, embeddings: npt.ArrayLike, *, depth: int = CONDENSED_DEPTH, seed: int = 0) -> Self:
        """Learn from embeddings (n, d) with n, d at least 1; k is `depth`, n or d at most."""
        values = np.asarray(embeddings, np.float32)
        mean, deviation = values.mean(axis=0), values.std(axis=0)
        scale = np.where(deviation > 1e-6 * deviation.max(initial=1e-6), 1 / (deviation + 1e-12), 0)
        scale = scale.astype(np.float32)
        values = (values - mean) * scale
        kept = min(depth, *values.shape)
        if kept == values.shape[1]:
            return cls(mean, scale, np.eye(kept, dtype=np.float32))
        rng = np.random.default_rng(seed)
        columns = min(kept + 8, *values.shape)
        sketch = values @ rng.standard_normal((values.shape[1], columns), np.float32)
        for _ in range(POWER_STEPS):
            sketch = values @ (values.T @ _orthonormal(sketch))
        basis = _orthonormal(sketch)
        _, _, rows = np.linalg.svd(basis.T @ values, full_matrices=False)
        return cls(mean, scale, np.ascontiguousarray(rows[:kept].T, np.float32))

    def apply(self, embeddings: npt.ArrayLike) -> Floats:
        """Return (n, k) of embeddings (n, d)."""
        values = (np.asarray(embeddings, np.float32) - self.mean) * self.scale
        return np.asarray(values @ self.directions)


@dataclass(frozen=True, slots=True)
class LinearHead:
    """Linear discriminant analysis: Gaussian classes that share one covariance.

    The covariance is shrunk towards a multiple of the identity by as much as Ledoit and Wolf
    found best (A well-conditioned estimator for large-dimensional covariance matrices,
    Journal of Multivariate Analysis 88, 2004), so that few pictures in many dimensions do.
    """

    weights: npt.NDArray[np.float64]
    """(k, classes)."""
    offsets: npt.NDArray[np.float64]
    """(classes,)."""

    @classmethod
    def fit(
        cls,
        features: Floats,
        truth: Classes,
        classes: int,
        *,
        priors: npt.NDArray[np.float64] | None = None,
    ) -> Self:
        """Fit to features (n, k) with n at least 1.

        Args:
            features: as a `Condenser` gives them.
            truth: (n,) in 0..classes - 1. A class without pictures is never answered.
            classes: how many there are.
            priors: (classes,) how frequent each is to be taken for; as in `truth` by default.
        """
        counts = np.bincount(truth, minlength=classes)
        means = class_sums(features, truth, classes) / np.maximum(counts, 1)[:, np.newaxis]
        residuals = features - means[truth].astype(np.float32)
        covariance = shrunk_covariance(residuals)
        weights = np.linalg.solve(covariance, means.T)
        shares = counts / counts.sum() if priors is None else priors
        offsets = np.log(np.maximum(shares, 1e-12)) - 0.5 * (means.T * weights).sum(axis=0)
        return cls(np.where(counts, weights, 0), np.where(counts, offsets, UNSEEN_LOGIT))

    def logits(self, features: Floats) -> npt.NDArray[np.float64]:
        """Return (n, classes)."""
        return np.asarray(features @ self.weights + self.offsets)


def class_sums(features: Floats, truth: Classes, classes: int) -> npt.NDArray[np.float64]:
    """Return the sum of each class's features, (classes, k)."""
    members = np.zeros((classes, len(features)), np.float32)
    members[truth, np.arange(len(features))] = 1
    return (members @ features).astype(np.float64)


def shrunk_covariance(residuals: Floats) -> npt.NDArray[np.float64]:
    """Return the covariance (k, k) of residuals (n, k) of mean 0, after Ledoit and Wolf."""
    n, depth = residuals.shape
    sample = (residuals.T @ residuals).astype(np.float64) / n
    level = max(float(np.trace(sample)) / depth, 1e-8)
    distance = float(np.square(sample - level * np.eye(depth)).sum())
    norms = np.square(residuals, dtype=np.float64).sum(axis=1)
    noise = (float(np.square(norms).mean()) - float(np.square(sample).sum())) / n
    share = 1.0 if distance <= 0 else float(np.clip(noise / distance, 1e-4, 1))
    return np.asarray((1 - share) * sample + share * level * np.eye(depth))


def _orthonormal(columns: Floats) -> Floats:
    """Return orthonormal columns of the same span, by way of the Gram matrix.

    Five times as fast as a QR decomposition of many rows, and exact enough for a sketch.
    """
    values, vectors = np.linalg.eigh(columns.T.astype(np.float64) @ columns)
    kept = values > 1e-9 * values[-1]
    return np.asarray(columns @ (vectors[:, kept] / np.sqrt(values[kept])), np.float32)
