"""Reports → figures as PNG. matplotlib is imported when a figure is drawn, not before.

Colours are those of Okabe and Ito, which colour-blind people can tell apart; the confusion
matrix has one hue whose lightness carries the value.
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from ml.evaluation import EvaluationReport
from ml.learning_curve import LearningCurve
from ml.reliability import ReliabilityBin
from ml.significance import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

MAX_NUMBERED_CLASSES = 15  # more cells than 15 × 15 leave no room for figures in them
MAX_NAMED_CLASSES = 80
MAX_LABEL_CHARACTERS = 24
DPI = 120
COLOR_BAR_TICKS = (0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1)

_TRAIN, _VALIDATION, _NEUTRAL = "#0072B2", "#D55E00", "#555555"


def training_curves(history: Sequence[Mapping[str, float | str]]) -> bytes:
    """Return a PNG of loss and accuracy, on training and validation pictures, by epoch.

    Args:
        history: one row an epoch: phase, epoch, loss, accuracy, val_loss, val_accuracy.
            Phases follow each other on one axis and are marked.

    Raises:
        ValueError: no epoch.
    """
    if not history:
        raise ValueError("history must have at least one epoch.")
    figure = _figure(9, 3.8)
    epochs = np.arange(1, len(history) + 1)
    for axes, key, title in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), ("Loss", "Accuracy"), strict=True
    ):
        for name, prefix, color, marker in (
            ("training", "", _TRAIN, "o"),
            ("validation", "val_", _VALIDATION, "s"),
        ):
            values = [float(row[prefix + key]) for row in history]
            axes.plot(
                epochs,
                values,
                color=color,
                marker=marker if len(history) <= 40 else None,
                markersize=3.5,
                linewidth=1.8,
                label=name,
            )
        _mark_phases(axes, [str(row["phase"]) for row in history])
        _plain(axes)
        axes.set_title(title, loc="left", fontweight="bold", pad=18)
        axes.set_xlabel("epoch")
        axes.set_xlim(0.5, len(history) + 0.5)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.margins(y=0.12)
        axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    loss, accuracy = figure.axes
    loss.set_ylim(0, 1.08 * loss.dataLim.ymax)
    loss.legend(frameon=False)
    accuracy.yaxis.set_major_formatter(_percent_formatter())
    _mark_best(accuracy, [float(row["val_accuracy"]) for row in history])
    return _png(figure)


def confusion_matrix(report: EvaluationReport) -> bytes:
    """Return a PNG of right labels (rows) against given labels (columns).

    Colour is the share of the row, on a square-root scale. With at most 15 classes each
    cell also tells the number of pictures and that share.
    """
    counts = np.array(report.confusion, np.int64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    classes = len(report.labels)
    numbered = classes <= MAX_NUMBERED_CLASSES
    side = float(np.clip(0.62 * classes if numbered else 0.16 * classes, 3.2, 14))
    figure = _figure(side + 2.6, side + 1.8)
    axes = figure.subplots()
    # The square root brings out the few pictures that went wrong.
    image = axes.imshow(shares, cmap="Blues", norm=_square_root_norm())
    bar = figure.colorbar(
        image, ax=axes, fraction=0.04, pad=0.03, format=_percent_formatter(), ticks=COLOR_BAR_TICKS
    )
    bar.outline.set_visible(False)
    bar.set_label("share of the right label's pictures")
    if classes <= MAX_NAMED_CLASSES:
        names = [_shortened(label) for label in report.labels]
        size = 9 if numbered else 6
        axes.set_xticks(range(classes), names, rotation=45, ha="right", fontsize=size)
        axes.set_yticks(range(classes), names, fontsize=size)
        for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            text.set_parse_math(False)  # a label may hold dollar signs
            text.set_rotation_mode("anchor")
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    axes.set_xlabel("label given")
    axes.set_ylabel("right label")
    axes.set_title(
        f"{report.accuracy:.1%} of {report.n:,} test pictures right", loc="left", fontweight="bold"
    )
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(classes + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(classes + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.2 if numbered else 0.3)
    axes.tick_params(which="both", length=0)
    if numbered:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                axes.text(
                    column,
                    row,
                    f"{count}\n{shares[row, column]:.0%}",
                    ha="center",
                    va="center",
                    fontsize=7.5,
                    linespacing=1.1,
                    color="white" if shares[row, column] > 0.3 else "#1a1a1a",
                )
    return _png(figure)


def reliability_diagram(bins: Sequence[ReliabilityBin]) -> bytes:
    """Return a PNG of the share right against confidence, with the pictures of each bin below.

    Probabilities that can be believed lie on the diagonal. Bars are Wilson's 95 % intervals.
    """
    figure = _figure(5.4, 5.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = [one for one in bins if one.n]
    confidence = np.array([one.confidence for one in filled])
    accuracy = np.array([one.accuracy for one in filled])
    bounds = np.array([wilson_interval(round(one.accuracy * one.n), one.n) for one in filled])
    upper.plot((0, 1), (0, 1), color=_NEUTRAL, linestyle="--", linewidth=1, label="as it should be")
    upper.errorbar(
        confidence,
        accuracy,
        yerr=np.clip([accuracy - bounds[:, 0], bounds[:, 1] - accuracy], 0, None),
        color=_TRAIN,
        ecolor="#9ecae1",
        elinewidth=3,
        marker="o",
        markersize=6,
        linewidth=1.8,
        label="measured",
    )
    upper.set(xlim=(0, 1.02), ylim=(0, 1.04), ylabel="share right")
    upper.set_title("Reliability", loc="left", fontweight="bold")
    upper.legend(frameon=False, loc="lower right")
    lower.bar(
        [one.low for one in bins],
        [one.n for one in bins],
        width=[0.92 * (one.high - one.low) for one in bins],
        align="edge",
        color=_TRAIN,
    )
    lower.set(xlabel="probability of the first label", ylabel="pictures")
    lower.yaxis.get_major_locator().set_params(integer=True, nbins=3, min_n_ticks=1)
    for axes in (upper, lower):
        _plain(axes)
        axes.grid(axis="y", color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
    upper.yaxis.set_major_formatter(_percent_formatter())
    lower.xaxis.set_major_formatter(_percent_formatter())
    return _png(figure)


def learning_curve_figure(curve: LearningCurve) -> bytes:
    """Return a PNG of accuracy by training pictures, carried on to twice as many."""
    axes = (figure := _figure(6.6, 4)).subplots()
    sizes = np.array([point.pictures for point in curve.points], np.float64)
    accuracy = np.array([point.accuracy for point in curve.points])
    bounds = np.array([point.interval for point in curve.points])
    doubled = 2 * curve.pictures
    smooth = np.geomspace(sizes[0], doubled, 100)
    law = [curve.predicted(size) for size in smooth]
    axes.plot(smooth, law, color=_NEUTRAL, linestyle="--", linewidth=1.2, label="law fitted to it")
    axes.fill_between(sizes, bounds[:, 0], bounds[:, 1], color="#d6e6f2", linewidth=0)
    axes.plot(
        sizes, accuracy, color=_TRAIN, marker="o", markersize=5, linewidth=1.8, label="measured"
    )
    axes.errorbar(
        [doubled],
        [curve.predicted(doubled)],
        yerr=np.abs(np.subtract(curve.gain_interval, curve.gain))[:, np.newaxis],
        color=_VALIDATION,
        marker="D",
        markersize=7,
        linestyle="none",
        capsize=4,
        label=f"twice the pictures: {100 * curve.gain:+.1f} points",
    )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda size, _: f"{size:,.0f}")
    axes.set_xticks([*sizes[:: 2 if len(sizes) > 4 else 1], doubled])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(_percent_formatter())
    axes.set(xlabel="training pictures", ylabel="validation accuracy")
    axes.set_title("Would more pictures help?", loc="left", fontweight="bold")
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.legend(frameon=False, loc="lower right")
    _plain(axes)
    return _png(figure)


def _figure(width_in: float, height_in: float) -> "Figure":
    from matplotlib.figure import Figure

    # Without pyplot: no global state, no window system, nothing to close.
    return Figure(figsize=(width_in, height_in), dpi=DPI, layout="constrained")


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Labels in a script that the built-in font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        # Without the library's version in it, the same figures give the same file.
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _percent_formatter() -> "PercentFormatter":
    from matplotlib.ticker import PercentFormatter

    return PercentFormatter(xmax=1, decimals=None)


def _square_root_norm() -> "PowerNorm":
    from matplotlib.colors import PowerNorm

    return PowerNorm(0.5, vmin=0, vmax=1)


def _plain(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#999999")
    axes.tick_params(color="#999999")


def _mark_phases(axes: "Axes", phases: Sequence[str]) -> None:
    """Name each phase above its epochs, with a dotted line where one gives way to the next."""
    first = 1
    for phase, rows in groupby(phases):
        length = len(list(rows))
        if first > 1:
            axes.axvline(first - 0.5, color=_NEUTRAL, linestyle=":", linewidth=1)
        axes.text(
            first - 0.5 + length / 2,
            1.02,
            phase,
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=8,
            color=_NEUTRAL,
        )
        first += length


def _mark_best(axes: "Axes", values: Sequence[float]) -> None:
    best = int(np.argmax(values))
    axes.plot(best + 1, values[best], "o", markersize=10, markerfacecolor="none", color=_VALIDATION)
    axes.annotate(
        f"best {values[best]:.1%}",
        (best + 1, values[best]),
        xytext=(0, -18),
        textcoords="offset points",
        ha="center",
        fontsize=9,
        color=_VALIDATION,
    )


def _shortened(label: str) -> str:
    if len(label) <= MAX_LABEL_CHARACTERS:
        return label
    return label[: MAX_LABEL_CHARACTERS - 1] + "…"
