"""Curves of several runs over each other: one panel for each metric, one colour and one line style for each run."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Final

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from runner.figures.style import QUIET, empty_figure, short_name
from runner.metrics import is_share

# The colours of Okabe & Ito without yellow, which is hard to see on white.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_STYLES: Final = ("-", "--", ":", "-.")
_FEW_EPOCHS: Final = 12


def compared_curves(
    histories: Sequence[tuple[str, Mapping[int, Mapping[str, float]]]], metrics: Sequence[str]
) -> Figure:
    """`histories` are runs by name, with metrics by epoch; a run without a metric has no line in its panel."""
    figure = empty_figure(4.8 * len(metrics), 4.2 + 0.22 * len(histories))
    panels = figure.subplots(1, len(metrics), squeeze=False)[0]
    lines = {}
    for axes, metric in zip(panels, metrics, strict=True):
        axes.set_title(metric.replace("_", " ").replace("/", " "), loc="left", fontsize=10, fontweight="bold")
        for number, ((name, history), colour) in enumerate(zip(histories, cycle(_COLOURS), strict=False)):
            points = {epoch: row[metric] for epoch, row in history.items() if metric in row}
            style = _STYLES[number // len(_COLOURS) % len(_STYLES)]
            marker = "o" if len(points) <= _FEW_EPOCHS else ""
            [line] = axes.plot(
                list(points), list(points.values()), style, color=colour, linewidth=1.6, marker=marker, markersize=3.5
            )
            lines[number] = (line, short_name(name, 60))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("epoch", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, color=QUIET)
        axes.grid(alpha=0.25, linewidth=0.6)
        if is_share(metric):
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    handles, names = zip(*lines.values(), strict=True)
    figure.legend(handles, names, loc="outside lower left", frameon=False, fontsize=9)
    return figure
