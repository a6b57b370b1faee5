"""Suspected label errors: wrong labels are found, right ones are left alone."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.label_errors import SuspectedLabel, suspected_label_errors

Arrays = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


def clusters(n: int = 600, classes: int = 6, depth: int = 40, apart: float = 3.0) -> Arrays:
    rng = np.random.default_rng(1)
    centres = apart * rng.standard_normal((classes, depth)) / np.sqrt(depth / 8)
    truth = np.arange(n) % classes
    return (centres[truth] + rng.standard_normal((n, depth))).astype(np.float32), truth


def flipped(truth: npt.NDArray[np.int64], number: int) -> tuple[npt.NDArray[np.int64], set[int]]:
    rng = np.random.default_rng(2)
    rows = rng.choice(len(truth), number, replace=False)
    wrong = truth.copy()
    classes = truth.max() + 1
    wrong[rows] = (truth[rows] + rng.integers(1, classes, number)) % classes
    return wrong, set(rows.tolist())


def test_flipped_labels_are_found_and_hardly_any_other() -> None:
    embeddings, truth = clusters()
    labels, rows = flipped(truth, 48)

    found = suspected_label_errors(embeddings, labels, 6)

    indices = {error.index for error in found}
    assert len(indices & rows) >= 46
    assert len(indices - rows) <= 3
    hits = [error for error in found if error.index in rows]
    assert all(error.likely == truth[error.index] for error in hits)
    assert all(error.given == labels[error.index] for error in found)


def test_the_most_certain_come_first() -> None:
    embeddings, truth = clusters(apart=1.6)
    labels, rows = flipped(truth, 60)

    found = suspected_label_errors(embeddings, labels, 6)

    scores = [error.score for error in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)
    assert sum(error.index in rows for error in found[:30]) >= 28


def test_right_labels_of_well_separated_classes_raise_no_suspicion() -> None:
    embeddings, truth = clusters(apart=6)

    assert suspected_label_errors(embeddings, truth, 6) == []


def test_a_copy_does_not_vouch_for_the_same_wrong_label() -> None:
    embeddings, truth = clusters(240, classes=3)
    labels = truth.copy()
    labels[0] = 1
    rng = np.random.default_rng(3)
    copies = embeddings[0] + 0.001 * rng.standard_normal((8, 40))
    embeddings = np.concatenate([embeddings, copies.astype(np.float32)])
    labels = np.concatenate([labels, np.full(8, 1)])
    groups = [*range(240), *[0] * 8]

    grouped = suspected_label_errors(embeddings, labels, 3, groups=groups)
    alone = suspected_label_errors(embeddings, labels, 3)

    assert {0, *range(240, 248)} <= {error.index for error in grouped}
    assert 0 not in {error.index for error in alone}


def test_the_same_seed_gives_the_same_answer() -> None:
    embeddings, truth = clusters(apart=1)

    assert suspected_label_errors(embeddings, truth, 6) == suspected_label_errors(
        embeddings, truth, 6
    )


def test_a_class_of_a_few_pictures_is_neither_doubted_nor_proposed() -> None:
    embeddings, truth = clusters()
    labels = truth.copy()
    labels[0] = 6  # the only one of its class, and clearly of another

    found = suspected_label_errors(embeddings, labels, 7)

    assert all(error.index != 0 and error.likely != 6 for error in found)


def test_features_without_variation_are_no_reason_to_fail() -> None:
    assert suspected_label_errors(np.ones((20, 3)), np.arange(20) % 2, 2) == []


@pytest.mark.parametrize(
    ("embeddings", "truth", "message"),
    [
        (np.zeros((3, 2)), [0, 1], r"received \(3, 2\) and \(2,\)"),
        (np.zeros(3), [0, 1, 1], r"\(n, d\)"),
        (np.zeros((2, 2)), [0, 4], r"0\.\.1, received 0\.\.4"),
        (np.full((2, 2), np.nan), [0, 1], "finite"),
    ],
)
def test_what_does_not_fit_is_refused(embeddings: object, truth: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        suspected_label_errors(embeddings, truth, 2)  # type: ignore[arg-type]


@given(
    n=st.integers(0, 30),
    depth=st.integers(1, 300),
    classes=st.integers(1, 5),
    seed=st.integers(0, 9),
)
def test_any_labels_of_noise_are_judged_without_failing(
    n: int, depth: int, classes: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    found = suspected_label_errors(rng.standard_normal((n, depth)), truth, classes)

    assert all(isinstance(error, SuspectedLabel) and error.given != error.likely for error in found)
