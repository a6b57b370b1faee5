"""Novelty: strange embeddings score higher, few known ones are refused, files are read strictly."""

import io
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml.errors import ArtifactError
from ml.novelty import MAX_AXES, MAX_DEPTH, NoveltyModel

DEPTH = 24


def known(n: int, seed: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return embeddings around one direction for each class, of any length, and the classes."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % classes
    centres = np.random.default_rng(99).normal(size=(classes, DEPTH))
    points = centres[truth] + 0.2 * rng.normal(size=(n, DEPTH))
    return (points * rng.uniform(0.5, 2, (n, 1))).astype(np.float32), truth


def sure(n: int) -> np.ndarray:
    """Return logits of n pictures that a network is equally sure of."""
    return np.tile([6.0, 0.0, 0.0], (n, 1))


@lru_cache(maxsize=1)
def fitted() -> NoveltyModel:
    return NoveltyModel.fit(*known(300, 0), known(200, 1)[0], sure(200))


def altered(**changes: object) -> bytes:
    with np.load(io.BytesIO(fitted().to_bytes())) as file:
        arrays = dict(file)
    arrays |= {name: np.asarray(value) for name, value in changes.items() if value is not None}
    for name, value in changes.items():
        if value is None:
            del arrays[name]
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_strange_pictures_score_higher_than_known_ones() -> None:
    novelty = fitted()
    strange = np.random.default_rng(5).normal(size=(200, DEPTH))

    assert novelty.distance(known(200, 7)[0]).max() < novelty.distance(strange).min()
    assert (novelty.distance(strange) > novelty.threshold).all()


@settings(deadline=None)  # a fit takes as long as the machine lets it
@given(st.integers(0, 1000), st.integers(1, 120))
def test_at_most_one_in_twenty_validation_pictures_is_refused(seed: int, n: int) -> None:
    embeddings, truth = known(60, seed)
    validation = known(n, seed + 1)[0]

    novelty = NoveltyModel.fit(embeddings, truth, validation, sure(n))

    refused = int((novelty.distance(validation) > novelty.threshold).sum())
    assert refused <= 0.05 * n
    assert refused == n // 20


def test_typical_known_picture_scores_about_one() -> None:
    assert np.median(fitted().distance(known(500, 3)[0])) == pytest.approx(1, abs=0.2)


@given(st.floats(0.01, 100))
def test_length_of_an_embedding_does_not_matter(factor: float) -> None:
    novelty = fitted()
    embeddings = known(5, 3)[0]

    assert novelty.distance(embeddings * factor) == pytest.approx(
        novelty.distance(embeddings), rel=1e-4
    )


def test_one_embedding_scores_as_it_does_among_others() -> None:
    novelty = fitted()
    embeddings = known(6, 3)[0]

    scores = novelty.distance(embeddings)

    assert scores.dtype == np.float32
    assert scores.shape == (6,)
    assert float(novelty.distance(embeddings[2])) == pytest.approx(float(scores[2]), rel=1e-6)
    assert novelty.distance(embeddings.reshape(2, 3, DEPTH)) == pytest.approx(scores.reshape(2, 3))


def test_distance_is_mahalanobis_where_all_axes_are_kept() -> None:
    novelty = fitted()
    point = known(1, 8)[0][0].astype(np.float64)
    axes, means = novelty.axes.astype(np.float64), novelty.means.astype(np.float64)
    covariance = axes @ np.diag(novelty.variances) @ axes.T
    covariance += novelty.rest_variance * (np.eye(DEPTH) - axes @ axes.T)
    away = point / np.linalg.norm(point) - means

    distances = np.einsum("ci,ij,cj->c", away, np.linalg.inv(covariance), away)

    expected = np.sqrt(distances.min() / DEPTH)
    assert float(novelty.distance(point)) == pytest.approx(expected, rel=0.01)


def test_a_picture_that_no_class_speaks_for_is_stranger_at_the_same_place() -> None:
    rng = np.random.default_rng(4)
    embeddings, truth = known(200, 1)
    logits = np.eye(3)[truth] * rng.uniform(3, 9, (200, 1))
    novelty = NoveltyModel.fit(*known(300, 0), embeddings, logits)
    distances, energies = novelty.distance(embeddings), -np.log(np.exp(logits).sum(axis=1))
    assert novelty.energy_weight * energies.std() == pytest.approx(distances.std() / 2, rel=1e-3)
    assert novelty.usual_energy == pytest.approx(np.median(energies), rel=1e-6)

    usual, silent = novelty.score(embeddings, logits), novelty.score(embeddings, 0 * logits)

    assert (silent > usual).all()
    assert (usual > novelty.threshold).sum() == 10
    flat = novelty.score(embeddings.reshape(20, 10, DEPTH), logits.reshape(20, 10, 3))
    assert flat == pytest.approx(usual.reshape(20, 10))


def test_logits_that_tell_nothing_change_no_score() -> None:
    embeddings = known(50, 3)[0]
    assert (fitted().score(embeddings, sure(50)) == fitted().distance(embeddings)).all()
    assert (fitted().score(embeddings, 9 * sure(50)) == fitted().distance(embeddings)).all()


@pytest.mark.parametrize("logits", [np.zeros((199, 3)), np.full((200, 3), np.nan)])
def test_logits_that_do_not_fit_are_refused(logits: np.ndarray) -> None:
    with pytest.raises(ValueError, match="validation_logits must be"):
        NoveltyModel.fit(*known(300, 0), known(200, 1)[0], logits)


def test_a_file_from_before_the_energy_scores_by_distance_alone() -> None:
    older = NoveltyModel.from_bytes(altered(energy_weight=None, usual_energy=None))
    embeddings = known(50, 3)[0]
    assert (older.score(embeddings, 0 * sure(50)) == fitted().distance(embeddings)).all()


def test_what_is_written_is_read_back_and_scores_alike() -> None:
    novelty = fitted()
    embeddings = known(50, 3)[0]

    again = NoveltyModel.from_bytes(novelty.to_bytes())

    assert again.threshold == novelty.threshold
    assert (again.distance(embeddings) == novelty.distance(embeddings)).all()
    assert again.to_bytes() == novelty.to_bytes()


def test_file_of_a_large_network_is_small() -> None:
    novelty = NoveltyModel(
        means=np.zeros((12, 1280), np.float16),
        axes=np.zeros((1280, MAX_AXES), np.float16),
        variances=np.ones(MAX_AXES, np.float32),
        rest_variance=1.0,
        threshold=1.0,
    )

    assert len(novelty.to_bytes()) < 250_000


@pytest.mark.parametrize("depth", [1, 2])
def test_few_numbers_and_identical_pictures_can_be_fitted(depth: int) -> None:
    same = np.ones((6, depth))

    novelty = NoveltyModel.fit(same, [0, 0, 0, 1, 1, 1], same, sure(6))

    assert np.isfinite(novelty.distance(np.zeros(depth)))
    assert novelty.distance(np.ones(depth)) <= novelty.threshold
    assert novelty.distance(-np.ones(depth)) > novelty.threshold


GOOD = np.ones((2, 3))


@pytest.mark.parametrize(
    ("train", "truth", "validation"),
    [
        ([], [], GOOD),
        (GOOD, [0, 0], []),
        (GOOD, [0], GOOD),
        (GOOD, [0, 2], GOOD),
        (GOOD, [0, -1], GOOD),
        (GOOD, [0.0, 1.0], GOOD),
        (GOOD, [0, 1], np.ones((2, 4))),
        (GOOD * np.nan, [0, 1], GOOD),
        (GOOD, [0, 1], GOOD * np.inf),
        (np.ones((2, MAX_DEPTH + 1)), [0, 1], np.ones((1, MAX_DEPTH + 1))),
        (np.ones(3), [0, 1, 2], GOOD),
    ],
)
def test_what_cannot_be_fitted_is_refused(
    train: np.ndarray, truth: list[int], validation: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="must"):
        NoveltyModel.fit(train, truth, validation, sure(len(validation)))


@pytest.mark.parametrize("shape", [(), (DEPTH + 1,), (2, 1)])
def test_embedding_of_another_depth_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=f"{DEPTH}"):
        fitted().distance(np.zeros(shape))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 no zip",
        fitted().to_bytes()[:-50],
        altered(axes=None),
        altered(more=1.0),
        altered(means=np.zeros((3, 5), np.float16)),
        altered(means=np.zeros((0, DEPTH), np.float16)),
        altered(means=np.zeros((3, DEPTH), np.float32)),
        altered(variances=np.ones(2, np.float32)),
        altered(variances=np.zeros(DEPTH - 1, np.float32)),
        altered(rest_variance=np.float32(0)),
        altered(rest_variance=np.ones(1, np.float32)),
        altered(threshold=np.float32("nan")),
        altered(threshold="1"),
        altered(usual_energy=None),
        altered(energy_weight=np.float32(-1)),
        altered(energy_weight=np.float32("inf")),
        altered(usual_energy=np.ones(1, np.float32)),
        altered(threshold=np.array([{}], object)),
    ],
)
def test_anything_else_in_the_file_is_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError) as caught:
        NoveltyModel.from_bytes(data)

    assert caught.value.code == "bad_novelty"


@given(st.integers(0, 2**32 - 1))
@example(3585115)  # says that it is compressed in a way that no one knows
def test_damage_is_refused_or_does_no_harm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(fitted().to_bytes())
    data[rng.integers(len(data))] ^= int(rng.integers(1, 256))

    try:
        novelty = NoveltyModel.from_bytes(bytes(data))
    except ArtifactError as error:
        assert error.code == "bad_novelty"
    else:
        assert np.isfinite(novelty.distance(np.ones(DEPTH)))
