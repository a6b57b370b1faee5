"""What is left of refined weights: all, a part, or nothing."""

from pathlib import Path

import keras
import numpy as np
import pytest

from ml.checkpoint import CheckpointStore, Progress
from ml.config import TrainingConfig
from ml.fitting import Fitting, TrainingData, score
from ml.transfer import _average

FIRST, REFINED = np.array([[5, 4], [0, 5]]), np.array([[5, 0], [4, 5]])


def averaged(
    first: np.ndarray, refined: np.ndarray, workspace: Path, *, score_of_refined: float
) -> np.ndarray:
    """Return what is left in a network of two weights each, judged by telling two places apart."""
    places = np.eye(2, dtype=np.float32)
    config = TrainingConfig(
        architecture="mobilenet_v2", weights="imagenet", epochs=1, batch_size=1, seed=0,
        augmentation="none", label_smoothing=0.0,
    )  # fmt: skip
    pictures = np.zeros((2, 1, 1, 3), np.uint8)
    data = TrainingData(
        labels=("left", "right"), train=pictures, train_truth=np.arange(2, dtype=np.int32),
        validation=pictures, validation_truth=np.arange(2, dtype=np.int32),
    )  # fmt: skip
    store = CheckpointStore(workspace / "checkpoint.npz")
    fitting = Fitting(data=data, config=config, store=store, workspace=workspace, show=False)
    top = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])
    fitting.compile(top, config, steps=1)
    done = Progress(
        phase="refine",
        first_weights=[first.astype(np.float32)],
        best_weights=[refined.astype(np.float32)],
        best_score=score("refine", 1.0, -score_of_refined),
    )
    top.set_weights(done.best_weights)
    _average(fitting, top, done, places)
    return np.asarray(top.get_weights()[0])


def test_the_mean_of_first_and_refined_weights_is_kept_where_it_is_better(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = averaged(FIRST, REFINED, tmp_path, score_of_refined=-0.16)
    np.testing.assert_array_equal(kept, [[5, 2], [2, 5]])
    assert "Kept: 50% of the refined weights and 50% of the first" in capsys.readouterr().out


def test_refined_weights_are_kept_whole_where_no_mean_is_better(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = averaged(FIRST, 9 * np.eye(2), tmp_path, score_of_refined=-0.0001)
    np.testing.assert_array_equal(kept, 9 * np.eye(2))
    assert "Kept: the refined weights" in capsys.readouterr().out


def test_it_is_said_where_refining_brought_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.testing.assert_array_equal(averaged(FIRST, FIRST, tmp_path, score_of_refined=-0.16), FIRST)
    assert "which brought nothing" in capsys.readouterr().out


def test_a_backbone_is_judged_by_its_loss_and_other_networks_by_what_is_right() -> None:
    assert score("refine", 0.8, 0.3) > score("refine", 0.9, 0.4)
    assert score("head", 0.8, 0.3) > score("head", 0.9, 0.4)
    assert score("train", 0.9, 0.4) > score("train", 0.8, 0.3)
    assert score("train", 0.9, 0.3) > score("train", 0.9, 0.4)
    assert Progress(phase="head").best_score < score("head", 0.1, float("nan"))
    assert score("refine", 0.9, float("nan")) < score("refine", 0.1, 9.0)
