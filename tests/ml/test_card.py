"""The model card: what was measured, with n and intervals, and the limits in plain words."""

from typing import Any

import numpy as np
import pytest

from ml.card import model_card
from ml.evaluation import EvaluationReport, evaluate
from ml.preprocessing import Preprocessing
from tests.ml.report_pictures import contents
from tests.networks import COLOR_LABELS, color_metadata

HISTORY = [
    {"phase": "head", "epoch": 1, "val_accuracy": 0.81, "seconds": 20.0},
    {"phase": "head", "epoch": 2, "val_accuracy": 0.84, "seconds": 21.0},
    {"phase": "refine", "epoch": 1, "val_accuracy": 0.9, "seconds": 100.0},
]


def report_of(labels: tuple[str, ...] = COLOR_LABELS) -> EvaluationReport:
    """Return a report on 120 pictures: of the last class every second one is wrong."""
    truth = np.arange(120) % len(labels)
    given = np.where((truth == len(labels) - 1) & (np.arange(120) % 2 == 0), 0, truth)
    return evaluate(np.eye(len(labels))[given], truth, labels)


def card(
    labels: tuple[str, ...] = COLOR_LABELS, notes: tuple[str, ...] = (), **changes: Any
) -> str:
    return model_card(
        color_metadata(labels, **changes),
        report_of(labels),
        health_lines=["300 pictures", "2 skipped: a|b_c.jpg"],
        history=HISTORY,
        notes=notes,
    )


def section(text: str, title: str) -> str:
    return text.split(f"## {title}\n")[1].split("\n## ")[0]


def test_accuracy_stands_first_with_number_and_interval() -> None:
    text = card()

    report = report_of()
    low, high = report.accuracy_interval
    assert text.startswith("# Colours\n")
    assert f"**{report.accuracy:.1%}** of 120 test pictures" in text
    assert f"{low:.1%} to {high:.1%}" in text.split("## ")[0]


def test_every_class_is_measured_with_its_number_and_interval() -> None:
    measured = section(card(), "Measured")

    assert "| green | 40 | 100.0% | 91.2% to 100.0% |" in measured
    assert "| red | 40 | 50.0% | 35.2% to 64.8% |" in measured
    assert "| red | blue | 20 |" in measured


def test_limits_name_the_weak_classes_and_the_notes_come_first() -> None:
    limits = section(card(notes=("Never eat on its word.",)), "Limits")

    assert limits.strip().startswith("- Never eat on its word.")
    assert "misses more than 30% of: red (recall 50.0%)" in limits
    assert "can harm someone" in limits
    assert "Fewer than" not in limits


def test_limits_name_classes_with_few_test_pictures() -> None:
    limits = section(card(("a", "b", "c", "d", "e")), "Limits")

    assert "a (24), b (24), c (24), d (24), e (24)" in limits


def test_pictures_are_counted_by_class_and_split() -> None:
    pictures = section(card(), "Pictures")

    assert "| blue | 70 | 15 | 15 |" in pictures
    assert "| **all** | **210** | **45** | **45** |" in pictures
    assert "f" * 64 in pictures
    assert "Sources: colours" in pictures
    assert r"- 2 skipped: a\|b\_c.jpg" in pictures


def test_card_of_a_data_set_without_details_leaves_them_out() -> None:
    pictures = section(card(dataset={}), "Pictures")

    assert "Sources" not in pictures
    assert "Fingerprint" not in pictures


def test_making_is_told_phase_by_phase() -> None:
    made = section(card(), "How it was made")

    assert "*head*: 2 epochs in 41 s, best validation accuracy 84.0%" in made
    assert "*refine*: 1 epochs" not in made
    assert "*refine*: 1 epoch in 100 s" in made
    assert "| epochs | 3 |" in made
    assert "| keras | 3.15.1 |" in made


@pytest.mark.parametrize(
    ("preprocessing", "words"),
    [
        (Preprocessing(height_px=96, width_px=128), "stretched to 128 × 96 px"),
        (Preprocessing(height_px=96, width_px=96, fit="crop"), "cropped at its middle"),
        (Preprocessing(height_px=96, width_px=96, fit="letterbox", color="grey"), "greyscale"),
        (Preprocessing(height_px=28, width_px=28, color="grey", ink=True), "cropped to its ink"),
    ],
)
def test_input_is_told_in_words(preprocessing: Preprocessing, words: str) -> None:
    assert words in section(card(preprocessing=preprocessing), "Use")


def test_labels_cannot_break_the_tables_or_smuggle_markup() -> None:
    labels = ("a|b", "<script>alert(1)</script>", "[x](javascript:y)\nz")

    text = card(labels)

    assert r"a\|b" in text
    assert "<script>" not in text
    assert "[x]" not in text
    assert all(line.count(" | ") == 5 for line in text.splitlines() if r"a\|b | 40" in line)


def test_without_novelty_it_says_that_anything_gets_an_answer() -> None:
    assert "whatever the picture shows" in section(card(), "Limits")


def test_findings_tell_of_sets_novelty_labels_and_more_pictures() -> None:
    found = contents()

    text = model_card(
        found.metadata,
        found.evaluation,
        health_lines=found.health_lines,
        history=found.history,
        findings=found,
    )

    assert found.refusals is not None
    assert found.curve is not None
    assert "in 90% and 95% of pictures" in section(text, "Use")
    assert f"| right class in the 90% set | {found.sets[0].coverage:.1%} |" in text
    assert f"| taken for none of its classes | {found.refusals.refused:.1%} |" in text
    assert "whatever the picture shows" not in text
    assert f"Suspected label errors: {len(found.suspicions)} of 1,500" in section(text, "Pictures")
    assert found.curve.answer().split(":")[0] in section(text, "Pictures")
