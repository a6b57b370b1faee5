"""The choice among candidates, what it is worth, and how it is written down."""

import dataclasses
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.contenders import Contender
from ml.errors import ArtifactError, TrainingError
from ml.leaderboard import Leaderboard, LeaderboardRow, ranked, selection_optimism
from ml.significance import wilson_interval


def row(name: str, *correct: int, n: int = 200, macs: int = 1000, error: str = "") -> Any:
    return LeaderboardRow(
        contender=Contender(architecture=name),
        correct=correct,
        n=n,
        parameters=1234,
        macs=macs,
        file_bytes=5_000_000,
        ms_an_image=1.5,
        training_s=12.0,
        error=error,
    )


def board(*rows: LeaderboardRow, **changes: Any) -> Leaderboard:
    fields = {"chosen_seed": 0, "test_correct": 90, "test_n": 100, "optimism": 0.012} | changes
    return Leaderboard(rows=ranked(rows), **fields)


FAILED = row("mobilenet_v2", error="It needs colour.")


def test_the_highest_mean_over_the_seeds_is_chosen() -> None:
    lucky, steady = row("lucky", 200, 160), row("steady", 190, 188)

    assert ranked([lucky, steady, FAILED]) == (steady, lucky, FAILED)


def test_of_equals_the_lighter_one_is_chosen() -> None:
    heavy, light = row("heavy", 190, macs=5000), row("light", 190, macs=100)

    assert ranked([heavy, light])[0] == light


def test_where_nothing_could_be_trained_every_reason_is_named() -> None:
    with pytest.raises(TrainingError, match="mobilenet_v2: It needs colour") as refusal:
        ranked([FAILED])

    assert refusal.value.code == "nothing_trained"


def test_more_seeds_do_not_narrow_the_interval() -> None:
    assert row("cnn", 180, 180, 180).interval == wilson_interval(180, 200)


def test_the_best_of_its_seeds_is_kept() -> None:
    assert row("cnn", 180, 185, 185).best_run == 1


def test_the_table_names_everybody_the_choice_and_what_it_is_worth() -> None:
    lines = board(row("linear", 150, 152), row("cnn", 190, 192), FAILED, chosen_seed=1).lines()
    text = "\n".join(lines)

    assert lines[0].split() == [
        "candidate", "validation", "95", "%", "interval", "parameters", "MACs", "file", "ms",
        "training",
    ]  # fmt: skip
    assert lines[2].startswith("cnn")
    assert "95.5 %" in lines[2]
    assert len(lines[2]) == len(lines[3]) == len(lines[0])
    assert "mobilenet_v2: not trained. It needs colour." in text
    assert "Chosen on 200 validation pictures: cnn (seed 1)." in text
    assert "90.0 % of 100 pictures (95 % interval 82.6 % to 94.5 %)" in text
    assert "best of 4 networks" in text
    assert "about 1.2 points" in text


def test_a_leaderboard_survives_json() -> None:
    written = board(row("linear", 150), row("cnn", 190), FAILED)

    assert Leaderboard.from_dict(json.loads(json.dumps(written.to_dict()))) == written


def damaged(**changes: Any) -> dict[str, Any]:
    return board(row("linear", 150), row("cnn", 190)).to_dict() | changes


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        {},
        damaged(unknown=1),
        damaged(rows=[]),
        damaged(rows="cnn"),
        damaged(test_n=0),
        damaged(test_correct=101),
        damaged(test_correct=9.5),
        damaged(optimism=None),
        damaged(optimism=float("nan")),
        damaged(rows=board(row("linear", 150), row("cnn", 190)).to_dict()["rows"][::-1]),
        damaged(rows=[row("cnn", 201).to_dict()]),
        damaged(rows=[row("cnn").to_dict()]),
        damaged(rows=[FAILED.to_dict()]),
        damaged(rows=[row("cnn", 190).to_dict() | {"ms_an_image": "fast"}]),
        damaged(rows=[row("cnn", 190).to_dict() | {"macs": -1}]),
        damaged(rows=[row("cnn", 190).to_dict() | {"contender": {"name": "cnn"}}]),
        damaged(rows=[row("cnn", 190).to_dict() | {"contender": {"architecture": 1}}]),
    ],
)
def test_what_no_comparison_wrote_is_refused(values: object) -> None:
    with pytest.raises(ArtifactError) as refusal:
        Leaderboard.from_dict(values)

    assert refusal.value.code == "bad_leaderboard"


def coins(seed: int, probabilities: list[float], n: int) -> npt.NDArray[np.bool_]:
    """Return candidates that are right by chance alone, each at its own rate."""
    noise = np.random.default_rng(seed).random((len(probabilities), n))
    return noise < np.array(probabilities)[:, None]


@pytest.mark.parametrize("networks", [2, 8])
def test_the_optimism_of_equal_candidates_is_the_true_one(networks: int) -> None:
    n, p = 200, 0.8
    trials = np.random.default_rng(1).binomial(n, p, (20_000, networks))
    truth = float(trials.max(axis=1).mean() / n - p)

    estimates = [
        selection_optimism(coins(seed, [p] * networks, n), range(networks)) for seed in range(40)
    ]

    assert np.mean(estimates) == pytest.approx(truth, rel=0.15)


def test_choosing_a_clear_winner_flatters_nobody() -> None:
    assert selection_optimism(coins(0, [0.95, 0.5, 0.4], 400), range(3)) < 0.002


def test_the_same_candidate_twice_is_no_choice() -> None:
    one = coins(0, [0.8], 300)

    assert selection_optimism(np.repeat(one, 6, axis=0), range(6)) < 0.002


def test_more_pictures_leave_less_to_luck() -> None:
    few, many = (
        np.mean([selection_optimism(coins(seed, [0.8] * 4, n), range(4)) for seed in range(12)])
        for n in (50, 450)
    )

    assert many == pytest.approx(few / 3, rel=0.35)


def test_choosing_by_the_mean_over_seeds_is_worth_less_than_by_the_best_run() -> None:
    runs = [coins(seed, [0.8] * 9, 200) for seed in range(15)]
    apart = np.mean([selection_optimism(correct, range(9)) for correct in runs])
    grouped = np.mean(
        [selection_optimism(correct, [0, 0, 0, 1, 1, 1, 2, 2, 2]) for correct in runs]
    )

    assert 0 < grouped < apart


@pytest.mark.parametrize("shape", [(1, 50), (4, 1), (4, 0)])
def test_without_a_choice_there_is_no_optimism(shape: tuple[int, int]) -> None:
    assert selection_optimism(np.ones(shape, dtype=bool), range(shape[0])) == 0


@given(st.integers(2, 6), st.integers(2, 40), st.integers(0, 2**16))
def test_optimism_is_a_difference_of_accuracies(networks: int, n: int, seed: int) -> None:
    correct = np.random.default_rng(seed).random((networks, n)) < 0.5

    assert 0 <= selection_optimism(correct, [0] * networks) <= 1


def test_a_row_with_a_result_and_an_error_is_refused() -> None:
    both = dataclasses.replace(row("cnn", 190), error="It broke.").to_dict()

    with pytest.raises(ValueError, match="either"):
        LeaderboardRow.from_dict(both)
