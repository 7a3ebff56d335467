"""Estimates of numbers beside the numbers themselves."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from runner.figures.style import QUIET, TRAIN, VAL, Array, empty_figure, short_name

_PANELS: Final = 6
_ACROSS: Final = 3
_POINTS: Final = 5000


def estimates(
    wanted: Array, found: Array, names: Sequence[str], errors: Sequence[tuple[float, float]], *, of: str
) -> Figure:
    """A panel for each of the first six numbers: estimates (n, k) over numbers (n, k), and where both are equal.

    `errors` are the mean absolute error and R² of each. Of many examples some from all over the set are drawn.
    """
    count = min(len(names), _PANELS)
    rows = -(-count // _ACROSS)
    figure = empty_figure(min(count, _ACROSS) * 4.0 + 0.6, rows * 4.0 + 0.6)
    kept = np.linspace(0, len(wanted) - 1, min(len(wanted), _POINTS)).round().astype(int)
    for number in range(count):
        axes = figure.add_subplot(rows, min(count, _ACROSS), number + 1)
        true, said = wanted[kept, number], found[kept, number]
        low, high = float(min(true.min(), said.min())), float(max(true.max(), said.max()))
        margin = 0.04 * ((high - low) or 1.0)
        ends = (low - margin, high + margin)
        axes.plot(ends, ends, color=VAL, linewidth=1, zorder=1)
        axes.scatter(true, said, s=9, alpha=0.35, color=TRAIN, linewidths=0, zorder=2)
        axes.set_xlim(ends)
        axes.set_ylim(ends)
        axes.set_aspect("equal")
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, color=QUIET)
        mae, r2 = errors[number]
        told = f"mean error {mae:.3g}" + (f", R² {r2:.4f}" if np.isfinite(r2) else "")
        axes.set_title(f"{short_name(names[number], 30)}\n{told}", fontsize=10, loc="left", fontweight="bold")
        axes.set_xlabel("true", fontsize=9)
        axes.set_ylabel("estimated", fontsize=9)
    more = len(names) - count
    figure.suptitle(f"Estimates of {of}" + (f"; {more} more numbers are not shown" if more else ""), fontsize=11)
    return figure
