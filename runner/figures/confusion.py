"""The confusion matrix of a run."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from runner.figures.style import QUIET, Array, columns, empty_figure, percent, short_name

_NUMBERED_CLASSES = 25


def confusion_matrix(counts: Array, classes: Sequence[str], *, of: str = "images") -> Figure:
    """Counts (k, k) of true classes (rows) and predicted classes (columns); `of` says what was classified.

    The colour shows the share of the row, on a square-root scale, so that rare mistakes are visible. Up to 25 classes,
    the cells show counts, and each row its share of correct predictions. The most frequent mistakes are listed below.
    """
    counts = np.asarray(counts)
    k = len(classes)
    numbered = k <= _NUMBERED_CLASSES
    labels = [short_name(name) for name in classes]
    longest = max(map(columns, labels))
    names_size = 9 if k <= 12 else 8 if numbered else max(5.0, 8.5 - 0.03 * k)
    side = max(2.6, 0.42 * k) if numbered else min(10.5, 0.26 * k)
    margin = 0.6 + longest * names_size * 0.0085
    figure = empty_figure(side + margin + 1.0, side + margin + 0.9)
    axes = figure.add_subplot()
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape, float), where=rows > 0)
    axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1))
    upright = longest * names_size * 0.0085 <= side / k * 0.95
    axes.set_xticks(range(k), labels, fontsize=names_size, rotation=0 if upright else 90)
    axes.set_yticks(range(k), labels, fontsize=names_size)
    axes.set_xlabel("predicted", fontsize=10)
    axes.set_ylabel("true", fontsize=10)
    axes.tick_params(which="both", length=0)
    axes.set_xticks(np.arange(k + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(k + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.0 if numbered else 0.3)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if numbered:
        _write_counts(axes, counts, shares)
    total, right = int(counts.sum()), int(np.trace(counts))
    share = f", {percent(right / total)} right" if total else ""
    figure.suptitle(f"Confusion matrix\n{total:,} {of}{share}", fontsize=11, fontweight="bold")
    figure.supxlabel(_mistakes(counts, labels, width=int((side + margin) * 15)), fontsize=8, color=QUIET)
    return figure


def _write_counts(axes: Axes, counts: Array, shares: Array) -> None:
    k = len(counts)
    size = 9 if k <= 12 else 6.5
    for row in range(k):
        for column in range(k):
            if counts[row, column]:
                dark = shares[row, column] > 0.3
                axes.text(
                    column,
                    row,
                    _short(int(counts[row, column])),
                    ha="center",
                    va="center",
                    fontsize=size,
                    color="white" if dark else "black",
                    fontweight="bold" if row == column else "normal",
                )
        if counts[row].sum():
            axes.text(k - 0.3, row, percent(shares[row, row]), va="center", fontsize=size - 0.5, color=QUIET)


def _short(count: int) -> str:
    """A count short enough for a cell."""
    return str(count) if count < 10_000 else f"{count / 1000:.0f}k"


def _mistakes(counts: Array, labels: Sequence[str], *, width: int) -> str:
    """The most frequent mistakes in one line of at most `width` characters; empty if there are none."""
    wrong = np.array(counts)
    np.fill_diagonal(wrong, 0)
    line = ""
    for flat in np.argsort(-wrong, axis=None, kind="stable")[:6]:
        row, column = np.unravel_index(flat, wrong.shape)
        if not wrong[row, column]:
            break
        item = f"{labels[row]} → {labels[column]} ({wrong[row, column]})"
        longer = f"{line}, {item}" if line else f"most frequent mistakes: {item}"
        if columns(longer) > width:
            break
        line = longer
    return line
