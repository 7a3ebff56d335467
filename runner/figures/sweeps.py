"""Figures of a sweep: the curves of all members, and a metric against each varied value."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from runner.figures.style import QUIET, TRAIN, VAL

Curve = Sequence[float]
# The ratio of largest to smallest value from which an axis is logarithmic.
_LOGARITHMIC_RATIO = 30


def curves(members: Sequence[Mapping[str, Curve]], names: Sequence[str], *, best: int | None) -> Figure:
    """Metrics of all members over the epochs, one panel for each name; the member with index `best` is highlighted."""
    figure = Figure(figsize=(4.4 * len(names), 3.4), layout="constrained")
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        for index, member in enumerate(members):
            values = member.get(name, ())
            if index != best:
                axes.plot(range(1, len(values) + 1), values, color=TRAIN, alpha=0.3, linewidth=0.9)
        if best is not None:
            values = members[best].get(name, ())
            axes.plot(range(1, len(values) + 1), values, color=VAL, linewidth=2, label="the best")
            axes.legend(frameon=False, fontsize=8)
        _style(axes, name, "epoch")
    return figure


def slices(varied: Mapping[str, Sequence[object]], values: Sequence[float], name: str) -> Figure:
    """A metric of all members against each varied value, one panel for each name; words are categories."""
    count = len(varied)
    figure = Figure(figsize=(3.6 * min(count, 4), 3.2 * -(-count // 4)), layout="constrained")
    panels = figure.subplots(-(-count // 4), min(count, 4), squeeze=False).ravel()
    for axes, (below, own) in zip(panels, varied.items(), strict=False):
        numbers = [float(value) if isinstance(value, int | float) else None for value in own]
        known = [number for number in numbers if number is not None]
        if len(known) < len(own):
            words = list(dict.fromkeys(map(str, own)))
            axes.scatter([words.index(str(value)) for value in own], values, s=16, color=TRAIN, alpha=0.6, linewidths=0)
            axes.set_xticks(range(len(words)), words)
        else:
            axes.scatter(known, values, s=16, color=TRAIN, alpha=0.6, linewidths=0)
            if min(known) > 0 and max(known) / min(known) >= _LOGARITHMIC_RATIO:
                axes.set_xscale("log")
        _style(axes, name, below)
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure


def _style(axes: Axes, name: str, below: str) -> None:
    axes.set_xlabel(below, color=QUIET)
    axes.set_title(name, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    if name.endswith("accuracy"):
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
