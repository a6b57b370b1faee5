"""Softmax and temperature: probabilities that can be believed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

from ml.calibration import MAX_TEMPERATURE, MIN_TEMPERATURE, fit_temperature, softmax

logits_rows = stnp.arrays(
    np.float32,
    stnp.array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=6),
    elements=st.floats(-1e4, 1e4, width=32),
)


def drawn_from(logits: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return a class for each row, drawn with the row's own probabilities."""
    rng = np.random.default_rng(seed)
    noise = rng.gumbel(size=logits.shape)
    return np.asarray((logits + noise).argmax(axis=1))


def mean_loss(logits: np.ndarray, truth: np.ndarray, temperature: float) -> float:
    probabilities = softmax(logits, temperature).astype(np.float64)
    return float(-np.log(np.maximum(probabilities[np.arange(len(truth)), truth], 1e-30)).mean())


def test_softmax_is_the_textbook_one() -> None:
    assert softmax([0.0, np.log(3)]) == pytest.approx([0.25, 0.75])
    assert softmax([[0.0, np.log(9)]], temperature=2) == pytest.approx(np.array([[0.25, 0.75]]))
    assert softmax([1.0]).dtype == np.float32


@given(logits_rows, st.floats(0.05, 20))
def test_probabilities_sum_to_one_and_keep_the_order(
    logits: np.ndarray, temperature: float
) -> None:
    probabilities = softmax(logits, temperature)

    assert probabilities.sum(axis=-1) == pytest.approx(np.ones(logits.shape[:-1]), abs=1e-5)
    assert (
        np.take_along_axis(probabilities, logits.argmax(-1)[..., None], -1)[..., 0]
        == probabilities.max(-1)
    ).all()


@pytest.mark.parametrize("temperature", [0, -1, float("nan")])
def test_temperature_that_is_not_above_zero_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature"):
        softmax([1.0, 2.0], temperature)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 3.0])
def test_too_sure_and_too_shy_networks_are_put_right(temperature: float) -> None:
    honest = np.random.default_rng(1).normal(size=(20_000, 5)) * 2
    truth = drawn_from(honest)

    assert fit_temperature(honest * temperature, truth) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_has_a_lower_loss() -> None:
    logits = np.random.default_rng(2).normal(size=(400, 4)) * 3
    truth = drawn_from(logits / 2)

    fitted = fit_temperature(logits, truth)

    least = mean_loss(logits, truth, fitted)
    others = np.geomspace(MIN_TEMPERATURE, MAX_TEMPERATURE, 400)
    assert all(least <= mean_loss(logits, truth, other) + 1e-9 for other in others)


def test_nothing_but_mistakes_flattens_to_the_bound() -> None:
    logits = np.array([[9.0, 0.0], [0.0, 9.0]])

    assert fit_temperature(logits, [1, 0]) == pytest.approx(MAX_TEMPERATURE)


def test_no_mistake_tells_nothing_about_how_sure_to_be() -> None:
    assert fit_temperature([[2.0, 0.0], [0.0, 1.0]], [0, 1]) == 1.0


@pytest.mark.parametrize(
    ("logits", "truth"),
    [
        ([], []),
        ([1.0, 2.0], [0]),
        ([[1.0, 2.0]], [0, 1]),
        ([[1.0, float("nan")]], [0]),
        ([[1.0, 2.0]], [2]),
        ([[1.0, 2.0]], [-1]),
        ([[1.0, 2.0]], [0.5]),
    ],
)
def test_what_cannot_be_fitted_is_refused(logits: list[object], truth: list[float]) -> None:
    with pytest.raises(ValueError, match="must"):
        fit_temperature(logits, truth)
