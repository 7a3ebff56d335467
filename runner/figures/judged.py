"""How far the answers of a classifier can be trusted: reliability diagrams, ROC and precision-recall curves."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from runner.figures.style import QUIET, TRAIN, VAL, Array, columns, empty_figure, short_name

# Okabe & Ito without yellow, which is too light for a line; then the same again, dashed.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
ONE_AGAINST_ALL: Final = "each class against all others"
_NAMED: Final = 14  # classes with a line of their own in the legend


class Bins(NamedTuple):
    """Answers in bins of confidence, arrays (b,): how many, their mean confidence, the share that is right."""

    counts: Array
    confidence: Array
    accuracy: Array


class Line(NamedTuple):
    """The curve of a class: arrays (t,), and the area that is written beside its name."""

    name: str
    x: Array
    y: Array
    area: float


def reliability_diagrams(bins: Sequence[tuple[str, Bins]], *, of: str = "test images") -> Figure:
    """A diagram for each title and its bins, beside each other: accuracy against confidence, and how many answers."""
    figure = empty_figure(0.4 + 3.7 * len(bins), 4.9)
    grid = figure.subplots(2, len(bins), squeeze=False, height_ratios=(3, 1), sharex=True, sharey="row")
    for number, (title, found) in enumerate(bins):
        _reliability(grid[0][number], title, found, labelled=number == 0)
        _counts(grid[1][number], found, labelled=number == 0)
    total = int(bins[0][1].counts.sum())
    figure.suptitle(f"Are answers right as often as they say?\n{total:,} {of}", fontsize=11, fontweight="bold")
    return figure


def _edges(found: Bins) -> Array:
    return np.linspace(0, 1, len(found.counts) + 1)


def _reliability(axes: Axes, title: str, found: Bins, *, labelled: bool) -> None:
    edges, kept = _edges(found), found.counts > 0
    left, width = edges[:-1][kept], 1 / len(found.counts)
    was, said = found.accuracy[kept], found.confidence[kept]
    axes.bar(left, was, width, align="edge", color=TRAIN, alpha=0.75, edgecolor="white", label="accuracy")
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle="--", label="perfectly calibrated")
    sizes = 14 + 90 * np.sqrt(found.counts[kept] / max(found.counts.sum(), 1))
    axes.scatter(
        said, was, sizes, color=VAL, zorder=3, clip_on=False, label="at the mean confidence; larger: more answers"
    )
    axes.set_title(title, fontsize=9.5)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.spines[["top", "right"]].set_visible(False)
    if labelled:
        axes.set_ylabel("accuracy", fontsize=9.5)
        axes.legend(fontsize=8, loc="upper left", frameon=False)


def _counts(axes: Axes, found: Bins, *, labelled: bool) -> None:
    edges = _edges(found)
    axes.bar(edges[:-1], found.counts, 1 / len(found.counts), align="edge", color=QUIET, alpha=0.6, edgecolor="white")
    if found.counts.any():  # matplotlib warns of a logarithmic axis without a value
        axes.set_yscale("log")
        axes.set_ylim(0.7, 1.5 * max(found.counts.max(), 10))
    axes.set_xlabel("confidence", fontsize=9.5)
    axes.spines[["top", "right"]].set_visible(False)
    if labelled:
        axes.set_ylabel("answers (log)", fontsize=9.5)


def roc_curves(lines: Sequence[Line], *, each: str = ONE_AGAINST_ALL, of: str = "test images") -> Figure:
    """The true positive rate of each class or label against its false positive rate."""
    figure, axes = _panel(lines, f"ROC curves, {each}\n{of}", "area")
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle="--")
    _draw(axes, lines, "area")
    axes.set_xlabel("false positive rate", fontsize=9.5)
    axes.set_ylabel("true positive rate (recall)", fontsize=9.5)
    return figure


def precision_recall_curves(lines: Sequence[Line], *, each: str = ONE_AGAINST_ALL, of: str = "test images") -> Figure:
    """The precision of each class or label against its recall."""
    figure, axes = _panel(lines, f"Precision and recall, {each}\n{of}", "precision")
    _draw(axes, lines, "average precision")
    axes.set_xlabel("recall", fontsize=9.5)
    axes.set_ylabel("precision", fontsize=9.5)
    return figure


def _panel(lines: Sequence[Line], title: str, area: str) -> tuple[Figure, Axes]:
    longest = max((columns(short_name(line.name, 24)) for line in lines), default=4)
    figure = empty_figure(6.6 + 0.08 * longest, 4.6)
    axes = figure.add_subplot()
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    mean = f", mean {area} {np.mean([line.area for line in lines]):.4f}" if lines else ""
    figure.suptitle(f"{title}{mean}", fontsize=11, fontweight="bold")
    return figure, axes


def _draw(axes: Axes, lines: Sequence[Line], area: str) -> None:
    """The lines, those with the least area first in the legend; of many classes the others in grey."""
    ranked = sorted(lines, key=lambda line: line.area)
    named, others = ranked[:_NAMED], ranked[_NAMED:]
    for number, line in enumerate(others):
        label = f"{len(others)} others, up to {ranked[-1].area:.4f}" if number == 0 else None
        _curve(axes, line, "#aaaaaa", 0.6, "-", label)
    for number, line in enumerate(named):
        dashes = "--" if number >= len(_COLOURS) else "-"
        label = f"{short_name(line.name, 24)}  {line.area:.4f}"
        _curve(axes, line, _COLOURS[number % len(_COLOURS)], 1.4, dashes, label)
    handles, labels = axes.get_legend_handles_labels()
    if others:  # drawn first, named last
        handles, labels = [*handles[1:], handles[0]], [*labels[1:], labels[0]]
    axes.legend(
        handles,
        labels,
        title=area,
        fontsize=8,
        title_fontsize=8.5,
        loc="upper left",
        bbox_to_anchor=(1.02, 1.0),
        frameon=False,
    )


def _curve(axes: Axes, line: Line, colour: str, width: float, dashes: str, label: str | None) -> None:
    axes.plot(line.x, line.y, color=colour, linewidth=width, linestyle=dashes, label=label)
