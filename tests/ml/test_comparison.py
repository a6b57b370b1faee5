"""Candidate against incumbent: a change is believed only when chance does not explain it."""

import json

import numpy as np
import numpy.typing as npt
import pytest

from ml.comparison import Comparison, aligned, compare

LABELS = ("ant", "bee", "fly")
Array = npt.NDArray[np.float64]


def answers(given: npt.ArrayLike) -> Array:
    """Return probabilities of 0.8 for the class given and 0.1 for the others."""
    return np.full((len(np.asarray(given)), 3), 0.1) + 0.7 * np.eye(3)[np.asarray(given)]


def compared(new: npt.ArrayLike, old: npt.ArrayLike, truth: npt.ArrayLike) -> Comparison:
    names = [f"picture {i}.jpg" for i in range(len(np.asarray(truth)))]
    return compare(answers(new), answers(old), truth, LABELS, names)


@pytest.fixture
def truth() -> npt.NDArray[np.intp]:
    return np.arange(300) % 3


def with_mistakes(truth: npt.NDArray[np.intp], where: npt.ArrayLike) -> npt.NDArray[np.intp]:
    given = truth.copy()
    given[where] = (given[where] + 1) % 3
    return given


def test_same_answers_are_equal(truth: npt.NDArray[np.intp]) -> None:
    result = compared(truth, truth, truth)

    assert (result.verdict, result.p, result.gained, result.lost) == ("equal", 1.0, (), ())
    assert result.old_accuracy == result.new_accuracy == 1.0


def test_clear_gain_is_better(truth: npt.NDArray[np.intp]) -> None:
    result = compared(truth, with_mistakes(truth, slice(0, 60)), truth)

    assert result.verdict == "better"
    assert len(result.gained) == 60
    assert result.p < 1e-15
    assert result.new_accuracy == 1.0
    assert result.old_accuracy == pytest.approx(0.8)


def test_clear_loss_is_worse(truth: npt.NDArray[np.intp]) -> None:
    result = compared(with_mistakes(truth, slice(0, 60)), truth, truth)

    assert result.verdict == "worse"
    assert "60 newly wrong" in result.reasons[0]
    assert "beyond noise" in result.reasons[0]


@pytest.mark.parametrize(("lost", "verdict"), [(5, "equal"), (6, "worse")])
def test_verdict_turns_where_chance_falls_below_five_percent(
    truth: npt.NDArray[np.intp], lost: int, verdict: str
) -> None:
    # 5 of 5 lost: p = 1/16 = 0.0625. 6 of 6: p = 1/32 = 0.03125; spread over the classes.
    result = compared(with_mistakes(truth, slice(0, lost)), truth, truth)

    assert result.p == pytest.approx(2 / 2**lost)
    assert result.verdict == verdict


def test_loss_in_one_class_is_worse_in_spite_of_a_gain_overall(
    truth: npt.NDArray[np.intp],
) -> None:
    ants, flies = np.flatnonzero(truth == 0), np.flatnonzero(truth == 2)

    result = compared(with_mistakes(truth, flies[:10]), with_mistakes(truth, ants[:40]), truth)

    assert result.p < 0.05
    assert len(result.gained) > len(result.lost)
    assert result.verdict == "worse"
    ant, bee, fly = result.per_class
    assert (fly.label, fly.lost, fly.gained, fly.worse) == ("fly", 10, 0, True)
    assert (fly.old_recall, fly.new_recall) == (1.0, 0.9)
    assert not ant.worse
    assert ant.gained == 40
    assert bee.p == 1.0
    assert [reason.partition(":")[0] for reason in result.reasons[1:]] == ["fly"]


def test_p_values_of_classes_are_corrected_for_their_number(
    truth: npt.NDArray[np.intp],
) -> None:
    """Six lost in one class: p = 0.031 alone, 0.094 among three classes."""
    flies = np.flatnonzero(truth == 2)
    ants = np.flatnonzero(truth == 0)

    result = compared(with_mistakes(truth, flies[:6]), with_mistakes(truth, ants[:3]), truth)

    fly = result.per_class[2]
    assert fly.p == pytest.approx(3 * 2 / 2**6)
    assert not fly.worse
    assert result.verdict == "equal"


def test_flips_tell_picture_labels_and_probabilities() -> None:
    result = compared(new=[0, 2, 2], old=[0, 1, 0], truth=[0, 1, 2])

    (lost,), (gained,) = result.lost, result.gained
    assert (lost.name, lost.label) == ("picture 1.jpg", "bee")
    assert (lost.old_label, lost.new_label) == ("bee", "fly")
    assert (lost.old_probability, lost.new_probability) == pytest.approx((0.8, 0.8))
    assert (gained.name, gained.old_label, gained.new_label) == ("picture 2.jpg", "ant", "fly")


def test_class_without_pictures_is_left_out() -> None:
    result = compared([0, 1], [0, 1], [0, 1])

    assert [change.label for change in result.per_class] == ["ant", "bee"]


def test_comparison_fits_into_json() -> None:
    result = compared([0, 2], [0, 1], [0, 1])

    parsed = json.loads(json.dumps(result.to_dict()))

    assert parsed["verdict"] == "equal"
    assert parsed["lost"][0]["name"] == "picture 1.jpg"
    assert parsed["per_class"][1]["new_recall"] == 0.0


def test_names_and_shapes_must_fit() -> None:
    with pytest.raises(ValueError, match="names must name 2 pictures"):
        compare(answers([0, 1]), answers([0, 1]), [0, 1], LABELS, ["a.jpg"])
    with pytest.raises(ValueError, match=r"\(n, 3\)"):
        compare(answers([0, 1]), answers([0, 1])[:, :2], [0, 1], LABELS, ["a", "b"])


def test_columns_are_aligned_by_label() -> None:
    result = aligned([[0.5, 0.3, 0.2]], ["bee", "wasp", "ant"], to=LABELS)

    assert result.tolist() == [[0.2, 0.5, 0.0]]  # fly is unknown to it, wasp to us


def test_columns_must_be_as_many_as_labels() -> None:
    with pytest.raises(ValueError, match=r"\(n, 2\)"):
        aligned([[0.5, 0.3, 0.2]], ["bee", "ant"], to=LABELS)
