"""Would more pictures help, and of which class? A small head, refitted on fewer. NumPy only.

Accuracy on n pictures follows a - b·n^-c closely enough to be carried on to 2n: Hestness et
al.: Deep Learning Scaling is Predictable, Empirically, 2017, arXiv:1712.00409; Figueroa et
al.: Predicting sample size required for classification performance, BMC Medical Informatics
and Decision Making 12 (2012).
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.heads import Classes, Condenser, LinearHead
from ml.significance import wilson_interval

FRACTIONS = (0.125, 0.18, 0.25, 0.35, 0.5, 0.71, 1.0)
FEWEST_SIZES = 3  # a power law has three numbers
FEWEST_A_CLASS = 2  # on average, in the smallest subsample
BOOTSTRAPS = 400
HELPFUL = 0.005  # half a point: less is not worth collecting for
EXPONENTS = np.geomspace(0.05, 2, 40)

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """The head fitted on a subsample, scored on every validation picture."""

    pictures: int
    accuracy: float
    """Mean over the repeats."""
    interval: Interval
    """Wilson's, 95 %, for the validation pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassNeed:
    """What one class loses when half of its training pictures are left out."""

    label: str
    pictures: int
    """For training."""
    recall: float
    """With all of them."""
    halved_recall: float
    """With half of them and all of the other classes'."""
    loss: float
    """`recall` less `halved_recall`; more pictures cannot be expected to bring more."""
    loss_interval: Interval
    """95 %, from the validation pictures of the class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurve:
    """Accuracy by number of training pictures: points, law and what follows from it."""

    pictures: int
    """All there are to learn from; the points may be of a sample."""
    points: tuple[CurvePoint, ...]
    ceiling: float
    """a of a - b·n^-c."""
    scale: float
    exponent: float
    gain: float
    """Predicted rise in accuracy from twice the pictures."""
    gain_interval: Interval
    """95 %, by resampling validation pictures and repeats."""
    classes: tuple[ClassNeed, ...]
    """Those that validation pictures exist of, the neediest first."""

    def predicted(self, pictures: float) -> float:
        """Return the accuracy that the law gives for a number of training pictures."""
        return float(self.ceiling - self.scale * pictures**-self.exponent)

    @property
    def neediest(self) -> tuple[ClassNeed, ...]:
        """The classes whose loss is worth half a point and beyond noise."""
        return tuple(
            need for need in self.classes if need.loss >= HELPFUL and need.loss_interval[0] > 0
        )

    def answer(self) -> str:
        """Return in a sentence or two whether to collect more, and of what."""
        low, high = (100 * bound for bound in self.gain_interval)
        figures = f"{100 * self.gain:+.1f} points ({low:.1f} to {high:.1f})"
        if self.gain < HELPFUL:
            text = (
                "More pictures of the same kind would help little: twice as many would bring "
                f"about {figures}."
            )
        elif self.gain_interval[0] < HELPFUL / 5:
            text = f"Twice as many pictures may bring {figures}, which is not beyond noise."
        else:
            text = f"Twice as many pictures would bring about {figures}."
        if names := [need.label for need in self.neediest[:3]]:
            listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
            text += f" They are needed most of: {listed}."
        return text

    def to_dict(self) -> dict[str, object]:
        """Return what JSON can hold, the answer included."""
        return {"answer": self.answer(), **dataclasses.asdict(self)}


def learning_curve(
    train_embeddings: npt.ArrayLike,
    train_truth: npt.ArrayLike,
    validation_embeddings: npt.ArrayLike,
    validation_truth: npt.ArrayLike,
    labels: Sequence[str],
    *,
    pictures: int | None = None,
    repeats: int = 4,
    seed: int = 0,
) -> LearningCurve | None:
    """Refit a head on nested subsamples and tell what twice the pictures would bring.

    Only the head is refitted: what the embeddings themselves would gain is not seen, so the
    gain is too low where the network behind them learned from these same pictures.

    Args:
        train_embeddings: (n, d), finite.
        train_truth: (n,) whole numbers, indices of `labels`.
        validation_embeddings: (m, d), of pictures not trained on.
        validation_truth: (m,).
        labels: the class names.
        pictures: how many there are to learn from, where n are a sample of them.
        repeats: subsamples of each size; a smaller one lies within a larger one.
        seed: decides which pictures they hold.

    Returns:
        None where there are too few pictures for three sizes, or none to validate on.

    Raises:
        ValueError: shapes that do not fit.
    """
    train, validation = np.asarray(train_embeddings), np.asarray(validation_embeddings)
    truth = np.asarray(train_truth).astype(np.intp)
    right = np.asarray(validation_truth).astype(np.intp)
    if train.ndim != 2 or validation.ndim != 2 or train.shape[1] != validation.shape[1]:
        raise ValueError(
            f"embeddings must be (n, d) and (m, d), received {train.shape} and {validation.shape}."
        )
    if truth.shape != train.shape[:1] or right.shape != validation.shape[:1]:
        raise ValueError(
            f"truth must be ({len(train)},) and ({len(validation)},), received "
            f"{truth.shape} and {right.shape}."
        )
    present = max(1, len(np.unique(truth)))
    fractions = [f for f in FRACTIONS if f * len(truth) >= FEWEST_A_CLASS * present]
    if len(fractions) < FEWEST_SIZES or not len(right) or present < 2:
        return None
    condenser = Condenser.fit(train, seed=seed)
    study = _Study(
        condenser.apply(train), truth, condenser.apply(validation), right, len(labels), repeats
    )
    ranks = [_ranks(truth, np.random.default_rng((seed, repeat))) for repeat in range(repeats)]
    sizes, hits = study.by_size(fractions, ranks)
    ceiling, scale, exponent = _power_laws(sizes, hits.mean(axis=(1, 2))[np.newaxis])
    full = float(pictures or len(truth))
    gains = _bootstrapped_gains(sizes, hits, full, np.random.default_rng(seed))
    low, high = np.quantile(gains, (0.025, 0.975)).tolist()
    gain = float(_gain(scale, exponent, full)[0])
    return LearningCurve(
        pictures=int(full),
        points=tuple(
            CurvePoint(
                pictures=int(size),
                accuracy=float(accuracy),
                interval=wilson_interval(round(accuracy * len(right)), len(right)),
            )
            for size, accuracy in zip(sizes, hits.mean(axis=(1, 2)), strict=True)
        ),
        ceiling=float(ceiling[0]),
        scale=float(scale[0]),
        exponent=float(exponent[0]),
        gain=gain,
        gain_interval=(min(low, gain), max(high, gain)),
        classes=study.needs(labels, hits[-1, 0], ranks),
    )


@dataclass(frozen=True, slots=True)
class _Study:
    """Condensed features with everything that stays the same from fit to fit."""

    train: npt.NDArray[np.float32]
    truth: Classes
    validation: npt.NDArray[np.float32]
    right: Classes
    classes: int
    repeats: int

    def hits(self, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return which validation pictures a head gets right that learned from the chosen."""
        # Shares as in all pictures: fewer of a class must not make it a rarer answer.
        priors = np.bincount(self.truth, minlength=self.classes) / len(self.truth)
        head = LinearHead.fit(self.train[chosen], self.truth[chosen], self.classes, priors=priors)
        return np.asarray(head.logits(self.validation).argmax(axis=1) == self.right)

    def by_size(
        self, fractions: Sequence[float], ranks: Sequence[Floats]
    ) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """Return sizes (s,) and hits (s, repeats, validation pictures)."""
        chosen = [[rank < fraction for rank in ranks] for fraction in fractions]
        hits = np.stack(
            [
                # Everything is the same in every repeat.
                np.stack([self.hits(which[0])] * len(ranks))
                if fraction == 1
                else np.stack([self.hits(one) for one in which])
                for fraction, which in zip(fractions, chosen, strict=True)
            ]
        )
        return np.array([float(which[0].sum()) for which in chosen]), hits

    def needs(
        self, labels: Sequence[str], full: npt.NDArray[np.bool_], ranks: Sequence[Floats]
    ) -> tuple[ClassNeed, ...]:
        """Return what each class loses by half of its pictures, the most first."""
        needs = []
        for index in np.unique(self.right).tolist():
            its, own = self.right == index, self.truth == index
            if own.sum() < 2:
                continue
            halved = np.mean([self.hits(~own | (rank < 0.5))[its] for rank in ranks], axis=0)
            losses = full[its] - halved
            loss = float(losses.mean())
            half_width = 1.96 * float(losses.std()) / len(losses) ** 0.5
            needs.append(
                ClassNeed(
                    label=labels[index],
                    pictures=int(own.sum()),
                    recall=float(full[its].mean()),
                    halved_recall=float(halved.mean()),
                    loss=loss,
                    loss_interval=(loss - half_width, loss + half_width),
                )
            )
        return tuple(sorted(needs, key=lambda need: (-need.loss, need.label)))


def _ranks(truth: Classes, rng: np.random.Generator) -> Floats:
    """Return each picture's place in its class, shuffled, from 0 to below 1.

    Those below a fraction are that share of every class, and lie within those below a larger.
    """
    ranks = np.empty(len(truth))
    for index in np.unique(truth):
        members = rng.permutation(np.flatnonzero(truth == index))
        ranks[members] = np.arange(len(members)) / len(members)
    return ranks


def _power_laws(sizes: Floats, accuracies: Floats) -> tuple[Floats, Floats, Floats]:
    """Return a, b, c, each (r,), of the curves a - b·n^-c nearest to accuracies (r, sizes).

    For each exponent of a grid a and b follow from least squares, with b ≥ 0 and a ≤ 1.
    """
    best = np.full(len(accuracies), np.inf)
    a, b, c = np.zeros((3, len(accuracies)))
    means = accuracies.mean(axis=1)
    for exponent in EXPONENTS:
        powers = sizes**-exponent
        centred = powers - powers.mean()
        slope = np.maximum(-(accuracies @ centred) / (centred @ centred), 0)
        ceiling = means + slope * powers.mean()
        # Past 1 the nearest allowed law is the one through 1.
        over = ceiling > 1
        through_one = np.maximum((1 - accuracies) @ powers / (powers @ powers), 0)
        slope, ceiling = np.where(over, through_one, slope), np.where(over, 1, ceiling)
        errors = np.square(ceiling[:, None] - slope[:, None] * powers - accuracies).sum(axis=1)
        better = errors < best - 1e-12
        best[better], a[better], b[better] = errors[better], ceiling[better], slope[better]
        c[better] = exponent
    return a, b, c


def _gain(scale: Floats, exponent: Floats, pictures: float) -> Floats:
    """Return by how much the law rises from a number of pictures to twice as many."""
    return np.asarray(scale * pictures**-exponent * (1 - 2**-exponent))


def _bootstrapped_gains(
    sizes: Floats, hits: npt.NDArray[np.bool_], full: float, rng: np.random.Generator
) -> Floats:
    """Return the gains of `BOOTSTRAPS` curves, validation pictures and repeats redrawn."""
    _, repeats, tested = hits.shape
    drawn = rng.multinomial(tested, np.full(tested, 1 / tested), BOOTSTRAPS) / tested
    accuracies = np.einsum("bp,srp->bsr", drawn, hits.astype(np.float64), optimize=True)
    weights = rng.multinomial(repeats, np.full(repeats, 1 / repeats), BOOTSTRAPS) / repeats
    _, scale, exponent = _power_laws(sizes, np.einsum("bsr,br->bs", accuracies, weights))
    return _gain(scale, exponent, full)
