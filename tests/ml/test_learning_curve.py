"""The learning curve: it rises where pictures are wanting, and says so of the right class."""

import json

import numpy as np
import numpy.typing as npt
import pytest

from ml.learning_curve import LearningCurve, learning_curve

LABELS = ("ants", "bees", "slugs")

Pictures = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]


def pictures(counts: tuple[int, ...], *, apart: float, seed: int, depth: int = 60) -> Pictures:
    """Return embeddings of classes that differ in every dimension a little."""
    centres = apart * np.random.default_rng(0).standard_normal((len(counts), depth))
    truth = np.repeat(np.arange(len(counts)), counts)
    noise = np.random.default_rng(seed).standard_normal((len(truth), depth))
    return centres[truth] + noise, truth


def curve(counts: tuple[int, ...] = (60, 60, 60), apart: float = 0.25) -> LearningCurve:
    train = pictures(counts, apart=apart, seed=1)
    found = learning_curve(*train, *pictures((300,) * 3, apart=apart, seed=2), LABELS)
    assert found is not None
    return found


def test_accuracy_rises_with_the_pictures_and_more_are_called_helpful() -> None:
    found = curve()

    accuracies = [point.accuracy for point in found.points]
    assert accuracies[-1] > accuracies[0] + 0.05
    assert [point.pictures for point in found.points][-1] == 180
    assert found.gain_interval[0] <= found.gain <= found.gain_interval[1]
    assert found.answer().startswith("Twice as many pictures would bring about +")


def test_the_prediction_for_twice_the_pictures_comes_true() -> None:
    found, doubled = curve(), curve((120, 120, 120))

    predicted, reached = found.predicted(360), doubled.points[-1].accuracy
    assert predicted == pytest.approx(found.predicted(180) + found.gain)
    assert reached == pytest.approx(predicted, abs=0.04)


def test_where_everything_is_right_more_pictures_are_said_to_help_little() -> None:
    found = curve(apart=2)

    assert found.gain < 0.005
    assert found.answer().startswith("More pictures of the same kind would help little")
    assert "needed most" not in found.answer()


def test_the_class_with_few_pictures_is_the_neediest() -> None:
    found = curve((200, 200, 12))

    assert found.classes[0].label == "slugs"
    assert found.classes[0].pictures == 12
    assert found.classes[0].loss_interval[0] > 0
    assert "They are needed most of: slugs" in found.answer()


def test_the_same_seed_gives_the_same_curve_and_json_can_hold_it() -> None:
    found = curve()

    document = json.loads(json.dumps(found.to_dict()))
    assert found == curve()
    assert document["answer"] == found.answer()
    assert len(document["points"]) == len(found.points)


def test_a_sample_speaks_for_all_pictures_that_there_are() -> None:
    train, validation = (
        pictures((60,) * 3, apart=0.25, seed=1),
        pictures((99,) * 3, apart=0.25, seed=2),
    )

    few = learning_curve(*train, *validation, LABELS)
    many = learning_curve(*train, *validation, LABELS, pictures=100_000)

    assert few is not None
    assert many is not None
    assert few.points == many.points
    assert many.gain == pytest.approx(many.predicted(200_000) - many.predicted(100_000))
    assert many.gain < few.gain / 2


@pytest.mark.parametrize("counts", [(2, 2, 2), (30, 0, 0)])
def test_too_few_pictures_or_classes_give_no_curve(counts: tuple[int, ...]) -> None:
    train = pictures(counts, apart=1, seed=1)

    assert learning_curve(*train, *pictures((9,) * 3, apart=1, seed=2), LABELS) is None


def test_embeddings_of_another_depth_are_refused() -> None:
    with pytest.raises(ValueError, match=r"received \(3, 4\) and \(3, 5\)"):
        learning_curve(np.zeros((3, 4)), [0, 1, 2], np.zeros((3, 5)), [0, 1, 2], LABELS)
