"""The classifier: what it refuses to load, what it answers, and that threads may share it."""

import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ml.answers import Answer, answer_of
from ml.errors import ArtifactError
from ml.inference import Classification, Classifier
from ml.preprocessing import Preprocessing
from tests.networks import (
    COLOR_LABELS,
    COLOR_WEIGHTS,
    HONEST,
    SIZE_PX,
    color_network,
    color_novelty,
    write_color_artifact,
)

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("versions") / "v1"
    write_color_artifact(directory)
    return directory


@pytest.fixture
def classifier(version: Path) -> Classifier:
    return Classifier.load(version)


def plain(color: tuple[int, ...], size_px: int = SIZE_PX) -> Pixels:
    return np.full((size_px, size_px, len(color)), color, np.uint8)


def refusal(directory: Path, network: bytes, **changes: Any) -> ArtifactError:
    write_color_artifact(directory, network=network, **changes)
    with pytest.raises(ArtifactError) as caught:
        Classifier.load(directory)
    return caught.value


@pytest.mark.parametrize(
    ("color", "label"), [((255, 0, 0), "red"), ((0, 255, 0), "green"), ((0, 0, 255), "blue")]
)
def test_plain_color_is_recognized(
    classifier: Classifier, color: tuple[int, ...], label: str
) -> None:
    result = classifier.classify(plain(color))

    assert result.top(1) == [(label, pytest.approx(0.9999, abs=1e-4))]
    assert result.probabilities.dtype == np.float32
    assert result.probabilities.sum() == pytest.approx(1, abs=1e-6)
    assert result.embedding == pytest.approx(color)


def test_activation_shows_where_the_class_is(classifier: Classifier) -> None:
    picture = plain((0, 0, 255))
    picture[:8, 8:16] = (255, 0, 0)

    activation = classifier.classify(picture).activation

    assert activation is not None
    assert activation.shape == (4, 4, 3)
    red = activation[:, :, COLOR_LABELS.index("red")]
    assert np.unravel_index(red.argmax(), red.shape) == (0, 1)
    assert red[2, 2] == pytest.approx(0, abs=1e-4)


def test_half_precision_weights_serve_like_full_ones(
    classifier: Classifier, tmp_path: Path
) -> None:
    write_color_artifact(tmp_path / "v2", network=color_network(COLOR_WEIGHTS.astype(np.float16)))
    picture = plain((90, 60, 30))

    halves = Classifier.load(tmp_path / "v2").classify(picture)

    assert halves.probabilities == pytest.approx(
        classifier.classify(picture).probabilities, abs=1e-3
    )


def test_grey_network_takes_one_channel(tmp_path: Path) -> None:
    weights = np.array([[-9], [9]], np.float32)
    write_color_artifact(
        tmp_path / "v1",
        ("dark", "light"),
        network=color_network(weights),
        preprocessing=Preprocessing(height_px=SIZE_PX, width_px=SIZE_PX, color="grey"),
    )
    classifier = Classifier.load(tmp_path / "v1")

    assert classifier.classify(plain((250,))).top(1)[0][0] == "light"
    assert classifier.classify_picture(plain((250, 250, 250), 100)).top(1)[0][0] == "light"


def test_decoded_picture_of_any_size_is_prepared(classifier: Classifier) -> None:
    picture = np.zeros((301, 200, 3), np.uint8)
    picture[:, :, 1] = 255

    assert classifier.classify_picture(picture).top(1)[0][0] == "green"


def test_temperature_flattens_without_reordering(version: Path, tmp_path: Path) -> None:
    write_color_artifact(tmp_path / "v2", temperature=4.0)
    picture = plain((200, 120, 40))

    sharp = Classifier.load(version).classify(picture)
    flat = Classifier.load(tmp_path / "v2").classify(picture)

    assert flat.logits == pytest.approx(sharp.logits)
    expected = np.exp(sharp.logits / 4) / np.exp(sharp.logits / 4).sum()
    assert flat.probabilities == pytest.approx(expected, rel=1e-5)
    assert [label for label, _ in flat.top()] == [label for label, _ in sharp.top()]


def test_labels_and_preprocessing_are_those_of_the_metadata(classifier: Classifier) -> None:
    assert classifier.labels == COLOR_LABELS
    assert classifier.preprocessing == Preprocessing(height_px=SIZE_PX, width_px=SIZE_PX)
    assert classifier.metadata.name == "Colours"


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((SIZE_PX, SIZE_PX, 1), np.uint8),
        np.zeros((SIZE_PX, SIZE_PX + 1, 3), np.uint8),
        np.zeros((1, SIZE_PX, SIZE_PX, 3), np.uint8),
        np.zeros((SIZE_PX, SIZE_PX, 3), np.float32),
    ],
    ids=["channels", "width", "batch", "floats"],
)
def test_picture_that_is_not_prepared_is_refused(
    classifier: Classifier, picture: npt.NDArray[Any]
) -> None:
    with pytest.raises(ValueError, match="prepared must be uint8"):
        classifier.classify(picture)


def test_view_of_a_larger_array_is_read_in_its_own_order(classifier: Classifier) -> None:
    mirrored = np.repeat(plain((10, 20, 255)), 2, axis=1)[:, ::2][:, ::-1, ::-1]

    assert classifier.classify(mirrored).top(1)[0][0] == "red"


def test_top_is_sorted_keeps_ties_in_order_and_stops_at_all() -> None:
    result = Classification(
        labels=("a", "b", "c"),
        probabilities=np.array([0.25, 0.5, 0.25], np.float32),
        logits=np.zeros(3, np.float32),
        embedding=np.zeros(1, np.float32),
        activation=None,
    )

    assert result.top(99) == [("b", 0.5), ("a", 0.25), ("c", 0.25)]
    assert result.top(1) == [("b", 0.5)]
    with pytest.raises(ValueError, match="at least 1"):
        result.top(0)


def test_prediction_sets_and_novelty_come_with_the_version(tmp_path: Path) -> None:
    write_color_artifact(tmp_path / "v1", **HONEST)
    classifier = Classifier.load(tmp_path / "v1")

    red = classifier.classify(plain((200, 0, 0)))
    orange = classifier.classify(plain((255, 200, 0)))
    grey = classifier.classify(plain((100, 100, 100)))

    assert red.prediction_sets == {0.90: ("red",), 0.95: ("red",)}
    assert orange.prediction_sets == {0.90: ("red",), 0.95: ("red", "green")}
    assert red.is_novel is orange.is_novel is False
    assert grey.is_novel is True
    assert grey.novelty == pytest.approx((0.845 / 3) ** 0.5, abs=1e-3)
    assert grey.novelty_threshold == pytest.approx(0.48)


def test_older_version_promises_nothing(classifier: Classifier) -> None:
    result = classifier.classify(plain((200, 0, 0)))

    assert result.prediction_sets == {}
    assert result.novelty is None
    assert result.is_novel is None
    assert answer_of(result) is None


@pytest.mark.parametrize(
    ("color", "answer"),
    [
        ((200, 0, 0), Answer(kind="one", labels=("red",), level=0.95)),
        ((255, 200, 0), Answer(kind="several", labels=("red", "green"), level=0.95)),
        ((90, 99, 90), Answer(kind="none", labels=("green", "blue", "red"), level=0.95)),
    ],
)
def test_answer_names_one_class_several_or_none(
    tmp_path: Path, color: tuple[int, ...], answer: Answer
) -> None:
    write_color_artifact(tmp_path / "v1", **HONEST)

    assert answer_of(Classifier.load(tmp_path / "v1").classify(plain(color))) == answer


def test_picture_is_novel_also_without_prediction_sets(tmp_path: Path) -> None:
    write_color_artifact(tmp_path / "v1", files=HONEST["files"])
    classifier = Classifier.load(tmp_path / "v1")

    assert answer_of(classifier.classify(plain((9, 9, 9)))) == Answer(
        kind="none", labels=(), level=None
    )
    assert answer_of(classifier.classify(plain((200, 0, 0)))) is None


@pytest.mark.parametrize("novelty", [b"no archive", color_novelty(depth=4)])
def test_novelty_that_does_not_fit_the_network_is_refused(tmp_path: Path, novelty: bytes) -> None:
    error = refusal(tmp_path / "v1", color_network(), files={"novelty.npz": novelty})

    assert error.code == "bad_novelty"
    assert "novelty.npz" in error.message


def test_network_without_an_activation_serves(tmp_path: Path) -> None:
    write_color_artifact(tmp_path / "v1", network=color_network(outputs=("logits", "embedding")))

    result = Classifier.load(tmp_path / "v1").classify(plain((255, 0, 0)))

    assert result.activation is None
    assert result.top(1)[0][0] == "red"


def test_answers_outlive_the_next_picture(classifier: Classifier) -> None:
    first = classifier.classify(plain((255, 0, 0)))
    kept = first.logits.copy(), first.embedding.copy()
    classifier.classify(plain((0, 0, 255)))

    assert (first.logits == kept[0]).all()
    assert (first.embedding == kept[1]).all()


def test_threads_share_one_classifier(classifier: Classifier) -> None:
    rng = np.random.default_rng(1)
    colors = [tuple(int(c) for c in rng.integers(0, 256, 3)) for _ in range(200)]
    alone = [classifier.classify(plain(color)).logits for color in colors]
    together = threading.Barrier(8)

    def classify(indices: range) -> list[npt.NDArray[np.float32]]:
        together.wait()
        return [classifier.classify(plain(colors[index])).logits for index in indices]

    with ThreadPoolExecutor(8) as pool:
        shares = list(pool.map(classify, [range(start, 200, 8) for start in range(8)]))

    for start, share in enumerate(shares):
        assert np.array_equal(share, alone[start::8])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, bad: float, dtype: type) -> None:
    weights = COLOR_WEIGHTS.astype(dtype)
    weights[1, 2] = bad

    error = refusal(tmp_path / "v1", color_network(weights))

    assert error.code == "nan_weights"
    assert "head" in error.message


def test_network_that_overflows_is_refused(tmp_path: Path) -> None:
    weights = np.full((3, 3), 3e38, np.float32)  # finite each, not in their sum

    error = refusal(tmp_path / "v1", color_network(weights))

    assert error.code == "bad_network"
    assert "NaN or infinity" in error.message


@pytest.mark.parametrize("labels", [("blue", "green"), ("blue", "green", "red", "white")])
def test_labels_that_do_not_match_the_outputs_are_refused(
    tmp_path: Path, labels: tuple[str, ...]
) -> None:
    error = refusal(tmp_path / "v1", color_network(), labels=labels)

    assert error.code == "labels_mismatch"
    assert f"{len(labels)} labels" in error.message


@pytest.mark.parametrize(
    ("network", "changes"),
    [
        (color_network(size_px=40), {}),
        (color_network(), {"preprocessing": Preprocessing(height_px=32, width_px=40)}),
        (
            color_network(),
            {"preprocessing": Preprocessing(height_px=32, width_px=32, color="grey")},
        ),
        (color_network(input_dtype="int8"), {}),
        (color_network(input_dtype="float32"), {}),
    ],
    ids=["larger", "wider", "grey", "int8", "float32"],
)
def test_input_that_is_not_the_prepared_picture_is_refused(
    tmp_path: Path, network: bytes, changes: dict[str, Any]
) -> None:
    error = refusal(tmp_path / "v1", network, **changes)

    assert error.code == "bad_network"
    assert "input must be uint8" in error.message


@pytest.mark.parametrize(
    "network",
    [
        color_network(signature="predict"),
        color_network(outputs=("logits",)),
        color_network(outputs=("embedding", "activation")),
    ],
    ids=["signature", "no embedding", "no logits"],
)
def test_other_signature_is_refused(tmp_path: Path, network: bytes) -> None:
    assert refusal(tmp_path / "v1", network).code == "bad_network"


@pytest.mark.parametrize(
    "network",
    [b"", b"TFL3", b"GIF89a" * 10, b"\0\0\0\0TFL3" + b"\xff" * 400, color_network()[:-1]],
    ids=["empty", "short", "another format", "garbage", "last byte gone"],
)
def test_garbage_with_the_right_hash_is_refused(tmp_path: Path, network: bytes) -> None:
    assert refusal(tmp_path / "v1", network).code == "bad_network"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_network_with_the_right_hash_is_refused(tmp_path: Path, share: float) -> None:
    network = color_network()

    error = refusal(tmp_path / "v1", network[: int(len(network) * share)])

    assert error.code == "bad_network"


@pytest.mark.parametrize("occurrence", [0, 1], ids=["one", "other"])
@pytest.mark.parametrize("side", [131_073, 1 << 23])
def test_tensor_that_claims_more_than_it_holds_is_refused(
    tmp_path: Path, occurrence: int, side: int
) -> None:
    """XNNPACK reads as many weights as are claimed, beyond the end of the file."""
    network = color_network(COLOR_WEIGHTS.astype(np.float16))
    shape = np.array([4, 3, 1, 1, 3], "<i4").tobytes()  # the kernel's, after its length
    claimed = np.array([4, 3, 1, side, 3], "<i4").tobytes()
    parts = network.split(shape)
    assert len(parts) == 3  # stored in halves, and computed from them
    joints = [shape, shape]
    joints[occurrence] = claimed

    error = refusal(tmp_path / "v1", parts[0] + joints[0] + parts[1] + joints[1] + parts[2])

    assert error.code == "bad_network"


def test_network_that_would_fill_the_memory_is_refused_before_it_is_allocated(
    tmp_path: Path,
) -> None:
    error = refusal(tmp_path / "v1", color_network(size_px=8192))  # 805 MB as floats

    assert error.code == "bad_network"
    assert "claims 201326592 numbers" in error.message


def test_altered_network_is_refused_unopened(
    version: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "v1"
    shutil.copytree(version, copy)
    network = bytearray((copy / "model.tflite").read_bytes())
    network[len(network) // 2] ^= 1
    (copy / "model.tflite").write_bytes(network)

    def opened(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was opened")

    monkeypatch.setattr("ml.inference.Interpreter", opened)
    monkeypatch.setattr("ml.network_checks.Interpreter", opened)

    with pytest.raises(ArtifactError) as caught:
        Classifier.load(copy)
    assert caught.value.code == "altered_file"


def test_import_needs_no_training_and_no_web_library() -> None:
    code = (
        "import sys, ml.inference, ml.evaluation, ml.explanation\n"
        "heavy = {'tensorflow', 'keras', 'django', 'matplotlib', 'recognition'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)

    assert done.stdout.strip() == "[]"
