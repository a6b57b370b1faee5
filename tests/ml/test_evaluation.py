"""Evaluation: every figure on a set small enough to be counted by hand."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.evaluation import EvaluationReport, evaluate, format_results
from ml.significance import wilson_interval

LABELS = ("ant", "bee", "fly", "moth")
# Right labels: ant ant ant bee bee fly. Given: ant ant bee bee ant bee. No moth.
PROBABILITIES = np.array(
    [
        [0.7, 0.1, 0.1, 0.1],
        [0.4, 0.3, 0.2, 0.1],
        [0.3, 0.5, 0.1, 0.1],
        [0.0, 1.0, 0.0, 0.0],
        [0.5, 0.1, 0.2, 0.2],
        [0.2, 0.4, 0.1, 0.3],
    ]
)
TRUTH = np.array([0, 0, 0, 1, 1, 2])


@pytest.fixture
def report() -> EvaluationReport:
    return evaluate(PROBABILITIES, TRUTH, LABELS)


def test_accuracy_counts_the_first_label(report: EvaluationReport) -> None:
    assert report.n == 6
    assert report.accuracy == 3 / 6
    assert report.accuracy_interval == wilson_interval(3, 6)


def test_top3_counts_the_right_label_among_three(report: EvaluationReport) -> None:
    # Row 5: bee has the least probability; row 6: so has fly.
    assert report.top3_accuracy == 4 / 6
    assert report.top3_interval == wilson_interval(4, 6)


def test_confusion_has_right_labels_in_rows(report: EvaluationReport) -> None:
    assert report.confusion == ((2, 1, 0, 0), (1, 1, 0, 0), (0, 1, 0, 0), (0, 0, 0, 0))


def test_classes_are_scored_one_by_one(report: EvaluationReport) -> None:
    ant, bee, fly, moth = report.per_class

    assert (ant.label, ant.precision, ant.recall, ant.support) == ("ant", 2 / 3, 2 / 3, 3)
    assert (bee.precision, bee.recall, bee.support) == (1 / 3, 1 / 2, 2)
    assert bee.f1 == pytest.approx(2 * (1 / 3) * (1 / 2) / (1 / 3 + 1 / 2))
    assert bee.recall_interval == wilson_interval(1, 2)
    assert (fly.precision, fly.recall, fly.f1) == (0, 0, 0)
    assert (moth.support, moth.recall, moth.recall_interval) == (0, 0, (0, 1))


def test_macro_f1_leaves_out_classes_without_pictures(report: EvaluationReport) -> None:
    assert report.macro_f1 == pytest.approx((2 / 3 + 0.4 + 0) / 3)


def test_log_loss_is_the_mean_surprise(report: EvaluationReport) -> None:
    expected = -np.log([0.7, 0.4, 0.3, 1.0, 0.1, 0.1]).mean()

    assert report.log_loss == pytest.approx(expected)


def test_calibration_error_is_the_gap_between_sure_and_right(report: EvaluationReport) -> None:
    # Bins of 1/15: 0.4 lies in (0.333, 0.4], 0.5 in (0.467, 0.533], 0.7 and 1 alone.
    expected = (abs(1 - 0.8) + abs(0 - 1.0) + abs(1 - 0.7) + abs(1 - 1.0)) / 6

    assert report.ece == pytest.approx(expected)


def test_right_label_given_no_probability_costs_much_but_not_everything() -> None:
    report = evaluate([[1.0, 0.0]], [1], ["a", "b"])

    assert report.log_loss == pytest.approx(27.6, abs=0.1)


def test_honest_probabilities_have_no_calibration_error() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 100_000)
    truth = (rng.uniform(size=sure.size) > sure).astype(int)

    report = evaluate(np.stack([sure, 1 - sure], axis=1), truth, ["a", "b"])

    assert report.ece < 0.01


@pytest.mark.parametrize(
    ("probabilities", "truth", "fault"),
    [
        (np.empty((0, 2)), [], "at least 1"),
        ([[0.5, 0.25, 0.25]], [0], r"\(n, 2\)"),
        ([[0.5, 0.5]], [0, 1], "1 whole numbers"),
        ([[0.5, 0.5]], [2], "0..1"),
        ([[0.5, 0.5]], [-1], "0..1"),
        ([[0.5, 0.5]], [0.5], "whole numbers"),
        ([[1.5, -0.5]], [0], r"\[0, 1\]"),
        ([[float("nan"), 0.5]], [0], r"\[0, 1\]"),
    ],
)
def test_what_does_not_fit_is_refused(probabilities: object, truth: object, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        evaluate(probabilities, truth, ["a", "b"])  # type: ignore[arg-type]


def test_report_survives_json(report: EvaluationReport) -> None:
    assert EvaluationReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


@pytest.mark.parametrize("damage", [{"n": None, "extra": 1}, {"per_class": [{}]}, {"labels": 3}])
def test_damaged_report_is_refused(report: EvaluationReport, damage: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="Not an evaluation report"):
        EvaluationReport.from_dict(report.to_dict() | damage)


def test_table_sets_candidate_beside_incumbent(report: EvaluationReport) -> None:
    older = evaluate(PROBABILITIES[:, :3], TRUTH, LABELS[:3])

    lines = format_results(report, older).splitlines()

    assert lines[0].split() == ["candidate", "incumbent"]
    assert lines[1].split() == ["test", "pictures", "6", "6"]
    accuracy = "50.0% [18.8%, 81.2%]"
    assert lines[2].split("  ")[0] == "accuracy"
    assert lines[2].count(accuracy) == 2
    start = lines[0].index("incumbent")
    assert all(line[start - 1] == " " for line in lines)
    assert lines[-1].split()[-1] == "—"  # moth, which the older one does not know
    assert "of 3" in lines[7]


def test_table_of_one_report_has_one_column(report: EvaluationReport) -> None:
    lines = format_results(report).splitlines()

    assert lines[0].strip() == "candidate"
    assert len(lines) == 1 + 6 + len(LABELS)
    assert all(line == line.rstrip() for line in lines)


@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_figures_agree_with_each_other(n: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), n)
    truth = rng.integers(0, classes, n)

    report = evaluate(probabilities, truth, [f"c{i}" for i in range(classes)])

    confusion = np.array(report.confusion)
    assert confusion.sum() == report.n == n
    assert np.trace(confusion) / n == report.accuracy <= report.top3_accuracy
    assert [score.support for score in report.per_class] == confusion.sum(axis=1).tolist()
    assert 0 <= report.ece <= 1
    assert 0 <= report.macro_f1 <= 1
    assert report.accuracy_interval[0] <= report.accuracy <= report.accuracy_interval[1]
