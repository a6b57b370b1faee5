"""The report: everything measured is in one file, which is safe to open and small enough."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from ml.calibration import softmax
from ml.reliability import reliability_bins
from ml.report import render_report, report_document
from tests.ml.report_pictures import LABELS, changed, contents, drawing_of, outputs


class Page(HTMLParser):
    """Collects what a test asks of a page."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, tag: str, attribute: str) -> list[str]:
        return [
            str(attrs[attribute]) for name, attrs in self.tags if name == tag and attribute in attrs
        ]


@pytest.fixture(scope="module")
def html() -> bytes:
    return render_report(contents())


@pytest.fixture(scope="module")
def page(html: bytes) -> Page:
    return Page(html)


def test_heading_figures_stand_first_with_their_intervals(page: Page) -> None:
    report = contents().evaluation

    low, high = report.accuracy_interval
    assert f"Right on {report.accuracy:.1%} of 300 test pictures" in page.text
    assert f"{low:.1%} to {high:.1%}" in page.text
    assert f"{report.macro_f1:.3f}" in page.text


def test_nothing_is_fetched_and_no_script_runs(page: Page, html: bytes) -> None:
    assert not {"script", "iframe", "object", "link", "form"} & {tag for tag, _ in page.tags}
    assert all(source.startswith("data:image/") for source in page.values("img", "src"))
    assert all(target.startswith("#") for target in page.values("a", "href"))
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert b"default-src 'none'" in html


def test_labels_and_findings_are_shown_as_they_are(page: Page, html: bytes) -> None:
    assert b"crosses <&>" not in html
    assert "crosses <&>" in page.text
    assert "a<b>.jpg (not an image)" in page.text


def test_each_mistaken_cell_leads_to_its_pictures(page: Page) -> None:
    confusion = np.array(contents().evaluation.confusion)
    off_diagonal = confusion - np.diag(np.diag(confusion))
    ids = [str(attrs["id"]) for _, attrs in page.tags if "id" in attrs]

    cells = {
        f"cell-{row}-{column}": int(count) for (row, column), count in np.ndenumerate(off_diagonal)
    }
    expected = {name for name, count in cells.items() if count}
    linked = {target.removeprefix("#") for target in page.values("a", "href")}
    assert expected
    assert {name for name in linked if name.startswith("cell-")} == expected
    assert expected <= set(ids)
    assert len(ids) == len(set(ids))
    assert linked <= set(ids)
    assert f"taken for circles: {off_diagonal[1, 0]}" in page.text


def test_more_pictures_than_fit_are_counted(page: Page) -> None:
    left_out = len(contents().mistakes) - 24

    assert left_out > 0
    assert f"{left_out} more are not shown." in page.text


def test_every_picture_says_what_it_is_and_every_table_has_headers(page: Page) -> None:
    assert all(page.values("img", "alt"))
    assert len(page.values("img", "alt")) == len(page.values("img", "src"))
    assert all(scope in ("col", "row") for scope in page.values("th", "scope"))
    assert len(page.values("th", "scope")) == sum(tag == "th" for tag, _ in page.tags)


def test_it_stays_small_with_many_classes_and_mistakes() -> None:
    labels = tuple(f"class {index:02}" for index in range(70))

    content = render_report(contents(labels, n=700, hard=3.0))

    assert len(content) < 3_000_000
    assert "matrix would be too wide" in Page(content).text


def test_one_class_of_grey_pictures_without_mistakes_has_a_report_too() -> None:
    test = outputs(LABELS[:2], 20, "test", seed=9, hard=0)
    bare = changed(
        sets=(),
        refusals=None,
        mistakes=(),
        suspicions=(),
        curve=None,
        comparison=None,
        incumbent=None,
        history=(),
        examples=test.examples,
        picture_of=lambda example: drawing_of(example)[:28, :28, :1],
    )

    text = Page(render_report(bare)).text

    assert "too few pictures to tell" in text
    assert "no novelty threshold" in text
    assert "Against the active version" not in text


def test_suspected_labels_name_the_wrong_ones_first(page: Page) -> None:
    first = contents().suspicions[:8]
    shown = [int(one.example.name.removesuffix(".jpg").rsplit("-", 1)[1]) for one in first]

    assert sum(one.likely == LABELS[row] for one, row in zip(first, shown, strict=True)) >= 7
    assert all(one.example.split in ("train", "validation") for one in contents().suspicions)
    assert f"looks like {first[0].likely}" in page.text
    assert first[0].example.name in page.text


def test_answer_of_the_learning_curve_and_verdict_are_on_the_page(page: Page) -> None:
    curve, comparison = contents().curve, contents().comparison
    assert curve is not None
    assert comparison is not None
    assert curve.answer() in page.text
    assert comparison.reasons[0] in page.text


def test_the_document_holds_every_figure_and_survives_json() -> None:
    document = json.loads(json.dumps(report_document(contents()), allow_nan=False))

    assert list(document) == [
        "metrics", "test", "incumbent", "comparison", "history", "health", "prediction_sets",
        "reliability", "novelty", "mistakes", "label_errors", "learning_curve",
    ]  # fmt: skip
    assert document["metrics"]["accuracy"] == contents().evaluation.accuracy
    assert document["metrics"]["n_train"] == 1200
    assert [one["level"] for one in document["prediction_sets"]] == [0.90, 0.95]
    assert document["metrics"]["coverage_0.90"] == document["prediction_sets"][0]["coverage"]
    assert document["label_errors"]["judged"] == 1500
    assert document["learning_curve"]["answer"]
    assert sum(one["n"] for one in document["reliability"]) == 300


def test_mistakes_are_those_of_the_confusion_matrix_most_confident_first() -> None:
    found = contents()

    probabilities = [mistake.probability for mistake in found.mistakes]
    wrong = found.evaluation.n - round(found.evaluation.accuracy * found.evaluation.n)
    assert len(probabilities) == wrong
    assert probabilities == sorted(probabilities, reverse=True)
    assert all(one.given != one.example.label for one in found.mistakes)


def test_sets_keep_about_what_they_promise() -> None:
    for score in contents().sets:
        assert score.coverage == pytest.approx(score.level, abs=0.06)
        assert score.coverage_interval[0] < score.coverage < score.coverage_interval[1]
        assert 1 <= score.mean_size <= len(LABELS)


def test_the_reliability_bins_give_the_calibration_error_of_the_evaluation() -> None:
    test = outputs(LABELS, 300, "test", seed=3, wrong=5, hard=1.2)
    probabilities = softmax(test.logits)
    bins = reliability_bins(probabilities.max(axis=1), probabilities.argmax(axis=1) == test.truth)

    gap = sum(one.n * abs(one.accuracy - one.confidence) for one in bins) / 300
    assert bins == contents().reliability
    assert gap == pytest.approx(contents().evaluation.ece)


def test_pictures_are_thumbnails(page: Page) -> None:
    thumbnails = [uri for uri in page.values("img", "src") if uri.startswith("data:image/jpeg")]

    assert len(thumbnails) > 50
    assert max(map(len, thumbnails)) < 9_000
    assert all(re.fullmatch(r"data:image/jpeg;base64,[\w+/]+=*", uri) for uri in thumbnails)
