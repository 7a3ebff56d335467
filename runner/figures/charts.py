"""Draws the charts of a sweep's report with matplotlib."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from runner.charts import Axis, Chart, Look, Mark, Parallel, Section, Tick
from runner.figures.style import QUIET, TRAIN, VAL, columns, empty_figure, short_name

_COLOURS: dict[Look, str] = {
    "plain": TRAIN,
    "best": VAL,
    "pruned": "#999999",
    "failed": "#CC79A7",
    "front": "#009E73",
    "interval": VAL,
}
_ABOVE = ("best", "front", "interval")
# Sizes in inches: a panel, the height of a bar, a line of text, and a column of text in the labels of ticks.
_WIDTH, _HEIGHT, _ROW = 4.4, 3.2, 0.24
_PLOT_WIDTH = _WIDTH - 1
_LINE, _COLUMN = 0.17, 0.075
_LONGEST_LABEL = 28
_LABELS = 8  # in points


def drawn(section: Section) -> Figure:
    """The charts of a section beside and below each other."""
    if section.wide:
        [whole] = section.charts
        return _parallel(whole) if isinstance(whole, Parallel) else _rows(whole)
    beside = min(len(section.charts), 3)
    rows = math.ceil(len(section.charts) / beside)
    figure = empty_figure(_WIDTH * beside, rows * (_HEIGHT + max(_upright(chart) for chart in section.charts)))
    for place, chart in enumerate(section.charts, start=1):
        if isinstance(chart, Chart):
            _panel(figure.add_subplot(rows, beside, place), chart)
    return figure


def _panel(axes: Axes, chart: Chart, width: float = _PLOT_WIDTH, height: float = _HEIGHT - 0.9) -> None:
    _frame(axes, chart.title)
    _below(axes, chart.x, width)
    ticks = _spaced(chart.y.ticks, [_LINE / height] * len(chart.y.ticks))
    axes.set_yticks([tick.at for tick in ticks], _labels(ticks))
    axes.set_ylabel(_title(chart.y), color=QUIET, fontsize=9)
    axes.grid(axis="x" if chart.y.words else "y", alpha=0.3)
    _draw(axes, chart.marks)


def _rows(chart: Chart) -> Figure:
    """A chart with a row for each category."""
    figure = empty_figure(2 * _WIDTH, 0.9 + _ROW * len(chart.y.ticks))
    axes = figure.add_subplot()
    _panel(axes, chart, 2 * _WIDTH - 2.5, _ROW * len(chart.y.ticks))
    return figure


def _parallel(chart: Parallel) -> Figure:
    last = len(chart.axes) - 1
    figure = empty_figure(max(2 * _WIDTH, 1.5 * len(chart.axes)), 4)
    axes = figure.add_subplot()
    axes.set_xlim(-0.4 / last, 1 + 0.1 / last)
    axes.set_ylim(0, 1)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_yticks([])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=_LABELS + 1)
    axes.set_xticks([index / last for index in range(last + 1)], [_title(axis) for axis in chart.axes])
    for index, axis in enumerate(chart.axes):
        axes.axvline(index / last, color=QUIET, linewidth=0.6, alpha=0.6)
        ticks = _spaced(axis.ticks, [_LINE / 3.4] * len(axis.ticks))
        for tick, label in zip(ticks, _labels(ticks, 16), strict=True):
            axes.annotate(
                label,
                (index / last, tick.at),
                (-4, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=_LABELS,
                bbox={"facecolor": "white", "alpha": 0.75, "pad": 0.6, "linewidth": 0},
                zorder=4,
            )
    _draw(axes, chart.marks)
    return figure


def _frame(axes: Axes, title: str) -> None:
    axes.set_title(short_name(title, 44), loc="left", fontsize=10)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=_LABELS)
    axes.set_axisbelow(True)


def _below(axes: Axes, axis: Axis, width: float) -> None:
    """The ticks of an x axis."""
    upright = _is_upright(axis, width)
    sizes = [_LINE] * len(axis.ticks) if upright else _sizes(axis.ticks)
    ticks = _spaced(axis.ticks, [size / width for size in sizes])
    axes.set_xticks([tick.at for tick in ticks], _labels(ticks), rotation=90 if upright else 0)
    axes.set_xlabel(_title(axis), color=QUIET, fontsize=9)


def _is_upright(axis: Axis, width: float) -> bool:
    """Whether the labels are categories that have no room beside each other."""
    sizes = [size / width for size in _sizes(axis.ticks)]
    return axis.words and len(_spaced(axis.ticks, sizes)) < len(axis.ticks)


def _sizes(ticks: Sequence[Tick]) -> list[float]:
    """The widths of labels, with some space, in inches."""
    return [(columns(tick.text) + 1.5) * _COLUMN for tick in ticks]


def _upright(chart: Chart | Parallel) -> float:
    """The height of upright labels below a panel, in inches."""
    if isinstance(chart, Parallel) or not _is_upright(chart.x, _PLOT_WIDTH):
        return 0.0
    ticks = _spaced(chart.x.ticks, [_LINE / _PLOT_WIDTH] * len(chart.x.ticks))
    return max(map(columns, _labels(ticks))) * _COLUMN


def _spaced(ticks: Sequence[Tick], sizes: Sequence[float]) -> list[Tick]:
    """Ticks whose labels have room: each is left out that would touch the one before; sizes are shares of the axis."""
    kept: list[Tick] = []
    end = -math.inf
    for tick, size in zip(ticks, sizes, strict=True):
        if tick.at - size / 2 >= end:
            kept.append(tick)
            end = tick.at + size / 2
    return kept


def _labels(ticks: Sequence[Tick], longest: int = _LONGEST_LABEL) -> list[str]:
    """The texts of ticks, as short as they may be and still differ."""
    labels = [short_name(tick.text, longest) for tick in ticks]
    if len(set(labels)) < len(labels) and longest < max(columns(tick.text) for tick in ticks):
        return _labels(ticks, longest + longest // 4)
    return labels


def _title(axis: Axis) -> str:
    return short_name(axis.title) + (" (log)" if axis.log else "")


def _draw(axes: Axes, marks: Sequence[Mark]) -> None:
    """Draws marks of one look together: a sweep may have thousands."""
    for look, colour in _COLOURS.items():
        own = [mark for mark in marks if mark.look == look]
        above = look in _ABOVE
        lines = [mark.points for mark in own if mark.shape == "line"]
        width, alpha = (1.8, 1.0) if above else (0.9, _faint(len(lines), 20, 0.08))
        if lines:
            axes.add_collection(
                LineCollection(lines, colors=colour, linewidths=width, alpha=alpha, zorder=3 if above else 2)
            )
        dots = [point for mark in own if mark.shape == "dot" for point in mark.points]
        if dots:
            x, y = zip(*dots, strict=True)
            axes.scatter(
                x,
                y,
                s=36 if above else 14,
                color=colour,
                alpha=1 if above else _faint(len(dots), 60, 0.25),
                linewidths=0,
                zorder=3,
            )
        bars = [mark for mark in own if mark.shape == "bar"]
        for bar in bars:
            [(end, row)] = bar.points
            axes.barh([row], [end], height=0.7 / len(bars), color=colour)
            axes.annotate(bar.text, (end, row), (3, 0), textcoords="offset points", va="center", fontsize=_LABELS)


def _faint(count: int, few: int, least: float) -> float:
    """The opacity of one of many marks: the densest places still stand out."""
    return min(max(few / max(count, 1), least), 0.8)
