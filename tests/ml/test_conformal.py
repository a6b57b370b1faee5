"""Prediction sets: right as often as they say, and no larger than that takes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.calibration import softmax
from ml.conformal import LEVELS, fit_thresholds, judge_sets, prediction_set

seeds = st.integers(0, 2**32 - 1)


def pictures(n: int, seed: int, sharpness: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (n, 6) of a network that is too sure, and the right classes."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 6)) * sharpness
    truth = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    return softmax(logits * 1.7), truth


def test_set_takes_classes_until_their_mass_exceeds_the_threshold() -> None:
    probabilities = [0.1, 0.5, 0.25, 0.15]

    assert prediction_set(probabilities, 0.0) == (1,)
    assert prediction_set(probabilities, 0.49) == (1,)
    assert prediction_set(probabilities, 0.5) == (1, 2)
    assert prediction_set(probabilities, 0.8) == (1, 2, 3)
    assert prediction_set(probabilities, 1.0) == (1, 2, 3, 0)


def test_impossible_classes_are_in_no_set_but_that_of_all() -> None:
    assert prediction_set([1.0, 0.0, 0.0], 0.999) == (0,)
    assert prediction_set([1.0, 0.0, 0.0], 1.0) == (0, 1, 2)


@given(seeds, st.integers(1, 300))
def test_as_many_of_the_fitted_pictures_are_covered_as_the_level_asks(seed: int, n: int) -> None:
    probabilities, truth = pictures(n, seed)

    thresholds = fit_thresholds(probabilities, truth)

    quality = judge_sets(probabilities, truth, thresholds)
    for level in LEVELS:
        assert quality[level].coverage >= min(1.0, math.ceil((n + 1) * level) / n)


@given(seeds, st.floats(0, 1))
def test_set_grows_with_its_threshold_and_keeps_the_order(seed: int, threshold: float) -> None:
    probabilities, _ = pictures(1, seed)
    row = probabilities[0]

    chosen = prediction_set(row, threshold)

    wider = prediction_set(row, min(1.0, threshold + 0.1))
    assert chosen
    assert wider[: len(chosen)] == chosen
    assert sorted(row[list(chosen)], reverse=True) == row[list(chosen)].tolist()
    assert row[list(chosen)].sum() >= min(threshold, 0.999)


@given(seeds)
def test_no_smaller_threshold_covers_as_many(seed: int) -> None:
    probabilities, truth = pictures(99, seed)

    thresholds = fit_thresholds(probabilities, truth)

    for level, threshold in thresholds.items():
        if threshold > 0:
            smaller = judge_sets(probabilities, truth, {level: np.nextafter(threshold, 0)})
            assert smaller[level].coverage < math.ceil(100 * level) / 99


def test_new_pictures_are_covered_as_often_as_the_level_says() -> None:
    coverage: dict[float, list[float]] = {level: [] for level in LEVELS}
    for seed in range(60):
        probabilities, truth = pictures(1000, seed)
        thresholds = fit_thresholds(probabilities[:500], truth[:500])
        for level, quality in judge_sets(probabilities[500:], truth[500:], thresholds).items():
            coverage[level].append(quality.coverage)

    for level in LEVELS:
        assert np.mean(coverage[level]) == pytest.approx(level, abs=0.01)


def test_network_better_than_the_level_names_one_class_only() -> None:
    probabilities, truth = pictures(1000, 3, sharpness=40)

    thresholds = fit_thresholds(probabilities, truth)
    quality = judge_sets(probabilities, truth, thresholds)

    assert thresholds[0.90] == 0
    assert quality[0.90].mean_size == quality[0.90].single == 1
    assert quality[0.90].coverage == (probabilities.argmax(axis=1) == truth).mean() > 0.90


def test_too_few_pictures_to_promise_anything_give_every_class() -> None:
    probabilities, truth = pictures(8, 0)

    assert fit_thresholds(probabilities, truth) == {0.90: 1.0, 0.95: 1.0}
    assert len(prediction_set(probabilities[0], 1.0)) == 6


@pytest.mark.parametrize(
    ("probabilities", "truth"),
    [
        ([], []),
        ([0.5, 0.5], [0]),
        ([[0.5, 0.5]], [0, 1]),
        ([[0.5, 0.4]], [0]),
        ([[1.5, -0.5]], [0]),
        ([[float("nan"), 1.0]], [0]),
        ([["a", "b"]], [0]),
        ([[0.5, 0.5]], [2]),
        ([[0.5, 0.5]], [-1]),
        ([[0.5, 0.5]], [0.5]),
    ],
)
def test_what_cannot_be_fitted_is_refused(probabilities: list[object], truth: list[float]) -> None:
    with pytest.raises(ValueError, match="must"):
        fit_thresholds(probabilities, truth)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_threshold_outside_zero_to_one_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        prediction_set([0.5, 0.5], threshold)
    with pytest.raises(ValueError, match="threshold"):
        judge_sets([[0.5, 0.5]], [0], {0.9: threshold})
