"""Losses, schedules and optimizers: what the names stand for."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from ml.config import TrainingConfig
from ml.errors import TrainingError
from ml.optimizers import ConvolutionalMuon, TriangularRate, add_l2, build_loss, build_optimizer

CONFIG = TrainingConfig(
    architecture="cnn", weights="none", epochs=1, batch_size=8, seed=0, augmentation="none"
)


def test_rate_climbs_to_its_peak_and_falls_to_near_zero() -> None:
    rate = TriangularRate(0.3, 100)
    values = [float(rate(step)) for step in (0, 20, 60, 100)]
    np.testing.assert_allclose(values, [0.03, 0.3, 0.15075, 0.0015], rtol=1e-4)


def test_a_cosine_warms_up_and_falls_to_zero() -> None:
    optimizer = build_optimizer(replace(CONFIG, schedule="cosine", learning_rate=0.2), 100)
    rate = optimizer._learning_rate
    np.testing.assert_allclose([float(rate(step)) for step in (0, 5, 100)], [0, 0.2, 0], atol=1e-6)


def test_a_constant_rate_stays() -> None:
    optimizer = build_optimizer(replace(CONFIG, schedule="constant", learning_rate=0.2), 100)
    assert float(optimizer.learning_rate) == pytest.approx(0.2)


def test_hinge_costs_nothing_once_the_right_score_leads_by_one() -> None:
    loss = build_loss("hinge", label_smoothing=0.1)
    truth = np.array([[0, 1, 0]], np.float32)
    assert float(loss(truth, np.array([[0.0, 1.5, 0.4]]))) == 0
    assert float(loss(truth, np.array([[0.0, 1.0, 0.4]]))) == pytest.approx(0.4)


def test_mse_compares_scores_with_the_one_hot_truth() -> None:
    loss = build_loss("mse", label_smoothing=0.0)
    assert float(loss(np.array([[0.0, 1.0]]), np.array([[0.5, 1.0]]))) == pytest.approx(0.125)


def test_label_smoothing_makes_certainty_cost_something() -> None:
    truth, sure = np.array([[0.0, 1.0]]), np.array([[-20.0, 20.0]])
    assert float(build_loss("cross_entropy", label_smoothing=0.0)(truth, sure)) < 1e-6
    assert float(build_loss("cross_entropy", label_smoothing=0.1)(truth, sure)) > 1


def step_of(shape: tuple[int, ...], name: str) -> np.ndarray:
    """Return the change that one step of Muon makes to a variable of this shape."""
    start = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    variable = keras.Variable(start, name=name)
    optimizer = ConvolutionalMuon(learning_rate=0.1, weight_decay=None, adam_weight_decay=None)
    gradient = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return np.asarray(variable.value) - start


@pytest.mark.parametrize("shape", [(3, 3, 8, 16), (24, 16)])
def test_muon_moves_kernels_alike_in_every_direction(shape: tuple[int, ...]) -> None:
    change = step_of(shape, "kernel").reshape(-1, shape[-1])
    singular = np.linalg.svd(change, compute_uv=False)
    assert singular.max() / singular.min() < 2.5  # a random matrix of 24 by 16 has about 10


def test_muon_leaves_scales_to_adam() -> None:
    change = step_of((16,), "gamma")
    np.testing.assert_allclose(np.abs(change), 0.1, rtol=1e-3)  # the sign of the gradient


def test_l2_counts_kernels_and_not_biases() -> None:
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    network.layers[0].set_weights([np.full((2, 2), 3.0), np.full(2, 9.0)])
    add_l2(network, 0.5)
    assert float(sum(network.losses)) == pytest.approx(0.5 * 4 * 9)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("loss", "guess"),
        ("optimizer", "adam_smith"),
        ("schedule", "sometimes"),
        ("mix", "blend"),
        ("augmentation", "wild"),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("label_smoothing", 1.0),
        ("ema", 1.0),
        ("l2", -1.0),
        ("patience", -1),
    ],
)
def test_what_cannot_be_trained_by_is_refused(field: str, value: object) -> None:
    with pytest.raises(TrainingError) as refusal:
        replace(CONFIG, **{field: value})
    assert refusal.value.code == f"bad_{field}"
    assert "Allowed" in refusal.value.message


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_weights_need_not_decay(name: str) -> None:
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    before = network.get_weights()
    optimizer = build_optimizer(replace(CONFIG, optimizer=name, weight_decay=0.0), 10)
    optimizer.apply([keras.ops.zeros_like(v) for v in network.variables], network.variables)
    np.testing.assert_allclose(network.get_weights()[0], before[0], atol=1e-6)
