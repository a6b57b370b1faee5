"""The model card: what a version is, how well it does, and what it must not be used for.

After Mitchell et al.: Model Cards for Model Reporting, FAT* 2019, arXiv:1810.03993. Every
figure in it comes from the metadata and the report; nothing is claimed that was not measured.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from ml.artifact import ArtifactMetadata
from ml.evaluation import EvaluationReport
from ml.findings import ReportContents, phases
from ml.preprocessing import Preprocessing

CONFUSIONS_SHOWN = 10
FEW_TEST_PICTURES = 30  # below it a recall's interval is wider than 25 points
WEAK_RECALL = 0.7

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~])")


def model_card(
    metadata: ArtifactMetadata,
    report: EvaluationReport,
    *,
    health_lines: Sequence[str],
    history: Sequence[Mapping[str, float | str]],
    notes: Sequence[str] = (),
    findings: ReportContents | None = None,
) -> str:
    """Return the card in Markdown.

    Args:
        metadata: of the version; its `files` may still be empty.
        report: on the test pictures.
        health_lines: findings about the pictures, one line each.
        history: one row an epoch, as `ml.plots.training_curves` takes them.
        notes: what else must be known of this recognizer, as its limits.
        findings: what the report tells of sets, novelty, labels and more pictures.
    """
    sections = [
        _heading(metadata, report),
        _use(metadata),
        _measurements(report, findings),
        _limits(report, notes, findings),
        [*_pictures(metadata, health_lines), *_prospects(findings)],
        _making(metadata, history),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections) + "\n"


def _heading(metadata: ArtifactMetadata, report: EvaluationReport) -> list[str]:
    return [
        f"# {_escaped(metadata.name)}",
        "",
        f"Tells {len(metadata.labels)} classes apart in pictures. It was right on "
        f"**{report.accuracy:.1%}** of {report.n:,} test pictures "
        f"(95 % interval {_interval(report.accuracy_interval)}), none of which it had seen.",
        "",
        f"Architecture `{metadata.architecture}`, {metadata.parameters:,} parameters, made on "
        f"{metadata.created_at[:10]}.",
    ]


def _use(metadata: ArtifactMetadata) -> list[str]:
    return [
        "## Use",
        "",
        f"- **Classes:** {', '.join(map(_escaped, metadata.labels))}.",
        f"- **Input:** {_preparation(metadata.preprocessing)}",
        "- **Output:** a probability for each class, an embedding, and from a network with "
        "feature maps a map of the places that speak for each class.",
        f"- **Calibration:** logits are divided by {metadata.temperature:.3f}, fitted on "
        "validation pictures.",
        *_set_lines(metadata),
    ]


def _set_lines(metadata: ArtifactMetadata) -> list[str]:
    levels = sorted(map(float, metadata.prediction_set_thresholds))
    if not levels:
        return []
    told = " and ".join(f"{level:.0%}" for level in levels)
    return [
        f"- **Prediction sets:** as many classes as it takes to hold the right one in {told} of "
        "pictures like the validation ones."
    ]


def _preparation(preprocessing: Preprocessing) -> str:
    size = f"{preprocessing.width_px} × {preprocessing.height_px} px"
    color = "colour" if preprocessing.color == "rgb" else "greyscale"
    fit = {
        "stretch": "stretched to",
        "letterbox": "fitted with its proportions, and padded, into",
        "crop": "cropped at its middle to",
    }[preprocessing.fit]
    if preprocessing.ink:
        narrowed = ", narrowed if it is wide" if preprocessing.widest_ink < 1 else ""
        return (
            f"a drawing or written sign, made light on dark, cropped to its ink{narrowed}, and "
            f"centred by its mass in {size} {color}."
        )
    return f"one {color} picture of any size, {fit} {size}."


def _measurements(report: EvaluationReport, findings: ReportContents | None) -> list[str]:
    rows = [
        ("right", f"{report.accuracy:.1%}", _interval(report.accuracy_interval)),
        (
            "right label among the first three",
            f"{report.top3_accuracy:.1%}",
            _interval(report.top3_interval),
        ),
        ("mean F1 of the classes", f"{report.macro_f1:.3f}", ""),
        ("log loss", f"{report.log_loss:.3f}", ""),
        ("expected calibration error", f"{report.ece:.3f}", ""),
    ]
    for score in findings.sets if findings else ():
        name, kept = f"the {score.level:.0%} set", _interval(score.coverage_interval)
        rows += [
            (f"right class in {name}", f"{score.coverage:.1%}", kept),
            (f"classes in {name}, mean", f"{score.mean_size:.2f}", ""),
        ]
    if findings and findings.refusals:
        share, told = findings.refusals.refused, _interval(findings.refusals.refused_interval)
        rows.append(("taken for none of its classes", f"{share:.1%}", told))
    lines = [
        "## Measured",
        "",
        f"On {report.n:,} test pictures; intervals are 95 % after Wilson.",
        "",
        *_table(("", "value", "interval"), rows, right=(1, 2)),
        "",
        *_table(
            ("class", "test pictures", "recall", "interval", "precision", "F1"),
            [
                (
                    _escaped(score.label),
                    f"{score.support:,}",
                    f"{score.recall:.1%}",
                    _interval(score.recall_interval),
                    f"{score.precision:.1%}",
                    f"{score.f1:.3f}",
                )
                for score in report.per_class
            ],
            right=(1, 2, 3, 4, 5),
        ),
    ]
    if confusions := _confusions(report):
        lines += [
            "",
            "Most frequent mistakes:",
            "",
            *_table(("right label", "label given", "pictures"), confusions, right=(2,)),
        ]
    return lines


def _confusions(report: EvaluationReport) -> list[tuple[str, str, str]]:
    """Return (right label, label given, pictures), most frequent first."""
    pairs = sorted(
        (
            (-count, row, column)
            for row, counts in enumerate(report.confusion)
            for column, count in enumerate(counts)
            if row != column and count
        )
    )
    return [
        (_escaped(report.labels[row]), _escaped(report.labels[column]), f"{-count:,}")
        for count, row, column in pairs[:CONFUSIONS_SHOWN]
    ]


def _limits(
    report: EvaluationReport, notes: Sequence[str], findings: ReportContents | None
) -> list[str]:
    lines = [
        "## Limits",
        "",
        *(f"- {note}" for note in notes),
        _strangers(findings),
        "- The test pictures come from the same sources as those it learned from. Expect less "
        "on other cameras, places and seasons, and probabilities that are too sure there.",
        "- The labels were taken as they came. Wrong ones among them limit what can be learned "
        "and blur what was measured.",
        "- Do not let it decide alone where a mistake can harm someone.",
    ]
    tested = [score for score in report.per_class if score.support]
    if few := [score for score in tested if score.support < FEW_TEST_PICTURES]:
        lines.append(
            f"- Fewer than {FEW_TEST_PICTURES} test pictures, so that their figures say little: "
            f"{_named((score.label, f'{score.support}') for score in few)}."
        )
    if weak := [score for score in tested if score.recall < WEAK_RECALL]:
        lines.append(
            f"- It misses more than {1 - WEAK_RECALL:.0%} of: "
            f"{_named((score.label, f'recall {score.recall:.1%}') for score in weak)}."
        )
    return lines


def _strangers(findings: ReportContents | None) -> str:
    if findings and findings.refusals:
        return (
            "- A picture that resembles none of those it learned from is said to show none of its "
            "classes. Something much like a class still gets its name, and a strange picture of a "
            "class may be refused."
        )
    return (
        "- It answers with one of its classes whatever the picture shows. A picture of anything "
        "else gets a wrong answer, at times with a high probability."
    )


def _prospects(findings: ReportContents | None) -> list[str]:
    """Return what could be done about the pictures."""
    if findings is None:
        return []
    lines = [
        f"- Suspected label errors: {len(findings.suspicions):,} of {findings.judged_labels:,} "
        "training and validation pictures"
    ]
    if findings.curve:
        lines.append(f"- More pictures? {_escaped(findings.curve.answer())}")
    return lines


def _pictures(metadata: ArtifactMetadata, health_lines: Sequence[str]) -> list[str]:
    counts: Mapping[str, Mapping[str, int]] = metadata.dataset.get("counts", {})
    splits = ("train", "validation", "test")
    rows = [
        (_escaped(label), *(f"{by_split.get(split, 0):,}" for split in splits))
        for label, by_split in counts.items()
    ]
    totals = [sum(by_split.get(split, 0) for by_split in counts.values()) for split in splits]
    lines = [
        "## Pictures",
        "",
        "A picture and its near duplicates are always in the same split, in every later "
        "training too.",
        "",
        *_table(
            ("class", "training", "validation", "test"),
            [*rows, ("**all**", *(f"**{total:,}**" for total in totals))],
            right=(1, 2, 3),
        ),
        "",
    ]
    if sources := metadata.dataset.get("sources"):
        lines.append(f"- Sources: {', '.join(_escaped(str(source)) for source in sources)}")
    if reviewed := metadata.dataset.get("reviewed"):
        lines.append(f"- Reviewed predictions among them: {reviewed:,}")
    if fingerprint := metadata.dataset.get("fingerprint"):
        lines.append(f"- Fingerprint of pictures, labels and splits: `{fingerprint}`")
    return [*lines, *(f"- {_escaped(line)}" for line in health_lines)]


def _making(metadata: ArtifactMetadata, history: Sequence[Mapping[str, float | str]]) -> list[str]:
    lines = ["## How it was made", ""]
    for phase, count, seconds, best in phases(history):
        epochs = "epoch" if count == 1 else "epochs"
        lines.append(
            f"- Phase *{phase}*: {count} {epochs} in {seconds:,.0f} s, best validation "
            f"accuracy {best:.1%}."
        )
    settings = [(_escaped(key), _escaped(str(value))) for key, value in metadata.config.items()]
    libraries = [(_escaped(name), _escaped(made)) for name, made in metadata.libraries.items()]
    return [
        *lines,
        "",
        *_table(("setting", "value"), settings),
        "",
        *_table(("library", "version"), libraries),
        "",
        "Curves: `training_curves.png`; mistakes: `confusion_matrix.png`; all figures: "
        "`report.json`.",
    ]


def _named(items: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{_escaped(label)} ({remark})" for label, remark in items)


def _table(
    header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()
) -> list[str]:
    """Return the lines of a Markdown table; the columns named in `right` are set right."""
    rules = ["---:" if column in right else "---" for column in range(len(header))]
    return [f"| {' | '.join(cells)} |" for cells in (header, rules, *rows)]


def _interval(values: tuple[float, float]) -> str:
    return f"{values[0]:.1%} to {values[1]:.1%}"


def _escaped(text: str) -> str:
    """Return the text as Markdown that shows it as it is: labels come from folder names."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
