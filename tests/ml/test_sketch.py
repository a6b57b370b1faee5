import numpy as np
import pytest

from ml.sketch import SKETCH_BYTES, sketch, unpack

FIRST_BYTES = "21a69aa221ab7b20"  # another one would make every stored sketch useless


def test_distances_between_sketches_are_those_between_directions() -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(40, 1280))
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    sketches = unpack([sketch(embedding) for embedding in embeddings])
    right = np.linalg.norm(unit[:, None] - unit[None], axis=-1)
    kept = np.linalg.norm(sketches[:, None] - sketches[None], axis=-1)
    pairs = np.triu_indices(40, k=1)
    assert np.abs(kept[pairs] / right[pairs] - 1).mean() < 0.1
    assert np.abs(kept[pairs] / right[pairs] - 1).max() < 0.4


def test_sketch_is_the_same_everywhere_and_knows_no_length() -> None:
    embedding = np.linspace(-1, 1, 96, dtype=np.float32)
    assert len(sketch(embedding)) == SKETCH_BYTES
    assert sketch(embedding) == sketch(embedding * 7)
    assert sketch(embedding)[:8].hex() == FIRST_BYTES


def test_embedding_of_zeros_has_a_sketch_of_zeros() -> None:
    assert not unpack([sketch(np.zeros(32))]).any()


def test_damaged_sketch_is_refused_by_its_number() -> None:
    with pytest.raises(ValueError, match="number 1 has 3"):
        unpack([bytes(SKETCH_BYTES), b"abc"])


def test_no_sketches_are_no_rows() -> None:
    assert unpack([]).shape == (0, 64)
