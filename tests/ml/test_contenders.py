"""What is written after `--architectures`, and what is refused before anything is trained."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.contenders import OPTIONS, Contender, parse_contenders
from ml.errors import TrainingError


def test_names_are_separated_by_commas_or_spaces() -> None:
    names = [contender.architecture for contender in parse_contenders(["linear,mlp", "cnn"])]

    assert names == ["linear", "mlp", "cnn"]


def test_options_have_the_kind_that_they_need() -> None:
    deep, units, _ = parse_contenders(
        ["cnn:width=16,depth=6,dropout=0.2", "mlp:layers=256-128,loss=hinge", "linear"]
    )

    assert deep == Contender(architecture="cnn", options={"depth": 6, "dropout": 0.2, "width": 16})
    assert units.options == {"layers": [256, 128], "loss": "hinge"}


def test_the_same_architecture_in_two_shapes_is_two_candidates() -> None:
    assert len(parse_contenders(["cnn:depth=2,width=64", "cnn:depth=8,width=32"])) == 2


@given(
    st.dictionaries(st.sampled_from(["depth", "width", "epochs"]), st.integers(0, 99), min_size=1)
)
def test_what_is_printed_can_be_read_again(options: dict[str, int]) -> None:
    written = Contender(architecture="cnn", options=dict(sorted(options.items())))

    assert parse_contenders([str(written), "linear"])[0] == written


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], "too_few_contenders", "Received 0"),
        (["cnn"], "too_few_contenders", "at least two"),
        (["cnn,linear,cnn"], "repeated_contender", "--seeds"),
        (["cnn:width=4,depth=2", "cnn:depth=2,width=4"], "repeated_contender", "twice"),
        (["cnn:depth", "linear"], "bad_contender", "cnn:depth=6,width=16"),
        (["cnn:", "linear"], "bad_contender", "NAME:KEY=VALUE"),
        ([":depth=2", "linear"], "bad_contender", "NAME:KEY=VALUE"),
        (["cnn:deep=2", "linear"], "bad_contender", "no option 'deep'. Allowed: layers, "),
        (["cnn:depth=two", "linear"], "bad_contender", "'two' is no value for depth"),
        (["cnn:depth=2,depth=3", "linear"], "bad_contender", "given twice"),
        (["mlp:layers=128-", "linear"], "bad_contender", "no value for layers"),
        (["linear,cnn:depth=2"], "bad_contender", "linear cnn:depth=2"),
    ],
)
def test_what_cannot_be_read_is_refused(words: list[str], code: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message) as refusal:
        parse_contenders(words)

    assert refusal.value.code == code


def test_a_weights_file_is_found_from_anywhere() -> None:
    first, second = parse_contenders(
        ["mobilenet_v2:weights=some.weights.h5", "mobilenet_v2:weights=none"]
    )

    assert first.options["weights"].endswith("/some.weights.h5")
    assert first.options["weights"].startswith("/")
    assert second.options["weights"] == "none"
    assert str(first) == "mobilenet_v2:weights=some.weights.h5"


def test_no_option_is_of_a_kind_that_json_does_not_know() -> None:
    kinds = {type(read("1")) for read in OPTIONS.values()}

    assert kinds <= {int, float, str, list}
