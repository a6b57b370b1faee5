"""Training: it learns, repeats itself, resumes, and keeps only what is better."""

import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ml.checkpoint import CheckpointStore, Progress
from ml.config import TrainingConfig
from ml.precision import cpu_flags, fastest_policy
from ml.training import train
from ml.transfer import head_batch
from tests.ml.training_pictures import training_data

CONFIG = TrainingConfig(
    architecture="cnn", weights="none", epochs=2, batch_size=8, seed=7, augmentation="photos"
)


def run(config: TrainingConfig, workspace: Path) -> list[tuple[float, float]]:
    """Train; return loss and validation loss of every epoch."""
    data = training_data(8, 16)
    history = train(data, config, workspace=workspace, progress=False).history
    return [(float(row["loss"]), float(row["val_loss"])) for row in history]


def test_same_seed_gives_the_same_figures(tmp_path: Path) -> None:
    assert run(CONFIG, tmp_path / "a") == run(CONFIG, tmp_path / "b")


def test_resumed_training_ends_like_an_unbroken_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unbroken = run(CONFIG, tmp_path / "unbroken")
    save = CheckpointStore.save

    def stop_after_one(store: CheckpointStore, progress: Progress) -> None:
        save(store, progress)
        if progress.epoch == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(CheckpointStore, "save", stop_after_one)
    with pytest.raises(KeyboardInterrupt):
        run(CONFIG, tmp_path / "broken")
    monkeypatch.undo()
    resumed = run(CONFIG, tmp_path / "broken")
    assert len(resumed) == CONFIG.epochs
    np.testing.assert_allclose(resumed, unbroken, rtol=1e-3)


def test_a_killed_write_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoint.npz")
    store.save(Progress(phase="train", epoch=1, weights=[np.ones(3)]))
    store.path.with_suffix(".part").write_bytes(b"half")
    progress = store.load()
    assert progress is not None
    assert progress.epoch == 1
    np.testing.assert_array_equal(progress.weights[0], np.ones(3))


def test_checkpoint_restores_the_state_of_the_optimizer(tmp_path: Path) -> None:
    def compiled() -> keras.Model:
        network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        network.compile(optimizer=keras.optimizers.AdamW(), loss="mse")
        return network

    network = compiled()
    network.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    progress = Progress(phase="head", epoch=1)
    progress.capture(network)
    store = CheckpointStore(tmp_path / "checkpoint.npz")
    store.save(progress)
    restored, loaded = compiled(), store.load()
    assert loaded is not None
    loaded.apply(restored)
    for before, after in zip(
        network.optimizer.variables, restored.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(before.numpy(), after.numpy())


@pytest.fixture(scope="module")
def backbone_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a file like those that `--weights FILE` takes, of a network nobody trained."""
    keras.utils.set_random_seed(1)
    backbone = keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    path = tmp_path_factory.mktemp("weights") / "backbone.weights.h5"
    backbone.save_weights(path)
    return path


def transfer_config(weights: Path, epochs: int) -> TrainingConfig:
    return replace(
        CONFIG,
        architecture="mobilenet_v3_small",
        weights=str(weights),
        epochs=epochs,
        optimizer="adamw",
        learning_rate=3e-4,
    )


@pytest.mark.parametrize(("pictures", "size"), [(40, 8), (305, 15), (2_560, 128), (90_000, 128)])
def test_few_pictures_still_give_a_head_twenty_steps_an_epoch(pictures: int, size: int) -> None:
    assert head_batch(pictures) == size


@pytest.mark.slow
def test_transfer_trains_a_head_and_then_refines_the_top_blocks(
    tmp_path: Path, backbone_weights: Path
) -> None:
    trained = train(
        training_data(16, 32),
        transfer_config(backbone_weights, 1),
        workspace=tmp_path,
        progress=False,
    )
    phases = [row["phase"] for row in trained.history]
    assert phases == ["head"] * 20 + ["refine"]
    with np.load(tmp_path / "features.npz") as features:
        assert features["train"].shape == (3 * 16, 576)
    untouched = keras.applications.MobileNetV3Small(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    untouched.load_weights(backbone_weights)
    backbone = trained.network.get_layer("features").get_layer("backbone")
    for before, after in zip(
        untouched.get_layer("conv").get_weights(),
        backbone.get_layer("conv").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(before, after)


@pytest.mark.slow
def test_refinement_that_does_not_help_is_not_kept(tmp_path: Path, backbone_weights: Path) -> None:
    data = training_data(16, 32)
    head = train(
        data, transfer_config(backbone_weights, 0), workspace=tmp_path / "head", progress=False
    )
    ruinous = replace(transfer_config(backbone_weights, 1), learning_rate=50.0)
    refined = train(data, ruinous, workspace=tmp_path / "both", progress=False)
    pictures = data.validation
    np.testing.assert_allclose(
        refined.network(pictures, training=False),
        head.network(pictures, training=False),
        atol=1e-3,
    )


def _train_long(workspace: Path) -> None:
    run(replace(CONFIG, epochs=200), workspace)


@pytest.mark.slow
def test_sigkill_loses_at_most_one_epoch(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_train_long, args=(tmp_path,))
    process.start()
    store = CheckpointStore(tmp_path / "checkpoint.npz")
    deadline_s = time.monotonic() + 120
    while (progress := store.load()) is None or progress.epoch < 3:
        if time.monotonic() > deadline_s:
            pytest.fail("no checkpoint appeared")
        time.sleep(0.05)
    if process.pid is not None:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    after = store.load()
    assert after is not None
    reached = after.epoch
    history = run(replace(CONFIG, epochs=reached + 1), tmp_path)
    assert len(history) == reached + 1


LINEAR: dict[str, Any] = {"architecture": "linear", "optimizer": "adamw", "learning_rate": 0.01}


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "muon", "learning_rate": 0.01},
        LINEAR | {"schedule": "cosine"},
        LINEAR | {"loss": "hinge"},
        LINEAR | {"loss": "mse"},
        LINEAR | {"mix": "cutmix", "augmentation": "photos"},
        LINEAR | {"l2": 1e-4, "schedule": "constant"},
        LINEAR | {"batch_size": 1},
        LINEAR | {"batch_size": 10_000, "epochs": 30},
        LINEAR | {"ema": 0.5},
    ],
    ids=str,
)
def test_every_way_of_training_learns_three_colours(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    config = replace(CONFIG, augmentation="none", epochs=6)
    trained = train(
        training_data(16, 16), replace(config, **changes), workspace=tmp_path, progress=False
    )
    assert max(float(row["val_accuracy"]) for row in trained.history) > 0.9


def test_the_whole_set_can_be_one_batch(tmp_path: Path) -> None:
    config = replace(CONFIG, **LINEAR, batch_size=10_000, epochs=1)
    assert len(run(config, tmp_path)) == 1


def test_what_was_learned_from_smaller_pictures_is_judged_and_kept_at_the_full_size(
    tmp_path: Path,
) -> None:
    config = replace(
        CONFIG, architecture="residual_cnn", options={"width": 8}, augmentation="photos_strong",
        train_side_px=24, optimizer="muon", learning_rate=0.02, epochs=6,
    )  # fmt: skip
    data = training_data(16, 32)
    trained = train(data, config, workspace=tmp_path, progress=False)
    assert trained.network.input_shape == (None, 32, 32, 3)
    answers = trained.network.predict(data.validation, verbose=0).argmax(axis=1)
    accuracy = float(np.mean(answers == data.validation_truth))
    assert accuracy == pytest.approx(max(float(row["val_accuracy"]) for row in trained.history))
    assert accuracy > 0.9


def test_the_mean_of_the_weights_is_judged_and_kept_while_training_goes_on(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path / "checkpoint.npz")
    config = replace(CONFIG, **LINEAR, ema=0.9, augmentation="none")
    trained = train(training_data(16, 16), config, workspace=tmp_path, progress=False)
    progress = store.load()
    assert progress is not None
    differences = [
        float(np.abs(raw - mean).max())
        for raw, mean in zip(progress.weights, progress.best_weights, strict=True)
    ]
    assert max(differences) > 1e-4
    for kept, mean in zip(trained.network.get_weights(), progress.best_weights, strict=True):
        np.testing.assert_array_equal(kept, mean)


def test_training_stops_when_patience_runs_out(tmp_path: Path) -> None:
    still = LINEAR | {"learning_rate": 1e-9}
    config = replace(CONFIG, **still, epochs=50, patience=2, schedule="constant")
    history = run(config, tmp_path)
    assert 3 <= len(history) < 20


@pytest.mark.parametrize(
    ("flags", "policy"),
    [
        (frozenset({"avx2"}), "float32"),
        (frozenset({"avx512_bf16"}), "mixed_bfloat16"),
        (frozenset({"amx_bf16"}), "mixed_bfloat16"),
        (frozenset(), "float32"),
    ],
)
def test_bfloat16_only_where_the_processor_computes_in_it(
    flags: frozenset[str], policy: str
) -> None:
    assert fastest_policy(flags) == policy


def test_processor_flags_are_read_and_their_absence_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("processor: 0\nflags\t\t: fpu avx2 amx_bf16\n")
    assert cpu_flags(path) == {"fpu", "avx2", "amx_bf16"}
    assert cpu_flags(tmp_path / "missing") == frozenset()
