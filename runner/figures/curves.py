"""Learning curves of a run: its metrics and its learning rate over the epochs."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from runner.figures.style import QUIET, TRAIN, VAL, empty_figure, percent
from runner.metrics import is_share

_FEW_EPOCHS = 12
_ABBREVIATED: Final = {"mae": "MAE", "rmse": "RMSE", "r2": "R²"}


def learning_curves(
    history: Sequence[Mapping[str, float]], *, best_epoch: int | None = None, monitor: str = "val/accuracy"
) -> Figure:
    """Loss, accuracy and other metrics on training and validation images over the epochs, the learning rate below.

    `history` contains one mapping per epoch, with the tracked names (`train/loss`, `val/accuracy`, …). A missing name
    is a gap. `best_epoch`, counted from 1, is the best by the metric `monitor` and is marked.
    """
    names = _metrics(history)
    rows = -(-len(names) // 2)
    figure = empty_figure(9.5, 1.2 + 3.4 * rows)
    grid = figure.add_gridspec(rows + 1, 2, height_ratios=(*[4] * rows, 1))
    panels = {name: figure.add_subplot(grid[place // 2, place % 2]) for place, name in enumerate(names)}
    rate = figure.add_subplot(grid[rows, :])
    for name, axes in panels.items():
        _curve(axes, history, f"train/{name}", TRAIN, "training")
        _curve(axes, history, f"val/{name}", VAL, "validation")
        _title(axes, _ABBREVIATED.get(name, name[:1].upper() + name[1:].replace("_", " ")))
        if is_share(f"val/{name}"):
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    _curve(rate, history, "learning_rate", QUIET, "learning rate")
    _title(rate, "Learning rate")
    drawn = [value for name in ("train/loss", "val/loss") for value in _values(history, name) if value > 0]
    if drawn and max(drawn) > 50 * min(drawn):
        panels["loss"].set_yscale("log")
    if best_epoch is not None and 1 <= best_epoch <= len(history):
        by_metric = {f"val/{name}": axes for name, axes in panels.items()}
        _mark_best(by_metric, history[best_epoch - 1], best_epoch, monitor)
    panels["loss"].legend(frameon=False, fontsize=9, loc="upper right")
    rate.set_xlabel("epoch", fontsize=9)
    for axes in (*panels.values(), rate):
        _epochs(axes, len(history))
    highest = max(_values(history, "learning_rate"), default=0.0)
    rate.set_ylim(0, 1.15 * highest or 1.0)
    rate.set_yticks([0, highest or 1.0], ["0", f"{highest:.3g}"])
    return figure


def _metrics(history: Sequence[Mapping[str, float]]) -> list[str]:
    """Loss, then the other metrics in their order: those of the task, and those of `train.metrics`."""
    found = (name.partition("/") for epoch in history for name in epoch)
    others = dict.fromkeys(name for part, _, name in found if part in ("train", "val"))
    return list(dict.fromkeys(("loss", *others)))


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=10, fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, color=QUIET)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def _epochs(axes: Axes, count: int) -> None:
    """Sets up an axis of epochs. A few epochs have one tick each and space for their markers."""
    if count <= _FEW_EPOCHS:
        axes.set_xlim(0.5, max(count, 1) + 0.5)
        axes.set_xticks(range(1, max(count, 1) + 1))
    else:
        axes.set_xlim(1, count)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))


def _values(history: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [value for row in history if math.isfinite(value := row.get(name, math.nan))]


def _curve(axes: Axes, history: Sequence[Mapping[str, float]], name: str, colour: str, label: str) -> None:
    epochs = [index + 1 for index, row in enumerate(history) if name in row]
    # Markers for a few epochs, because a curve of one epoch would be invisible.
    marker = "o" if len(history) <= _FEW_EPOCHS else ""
    values = [history[epoch - 1][name] for epoch in epochs]
    axes.plot(epochs, values, color=colour, label=label, linewidth=1.8, marker=marker, markersize=3.5)


def _mark_best(where: Mapping[str, Axes], row: Mapping[str, float], epoch: int, monitor: str) -> None:
    for name, axes in where.items():
        if name not in row:
            continue
        axes.axvline(epoch, color=QUIET, linewidth=0.9, linestyle=":", zorder=1)
        axes.plot(
            [epoch], [row[name]], marker="o", markersize=7, markerfacecolor="white", markeredgecolor=VAL, zorder=5
        )
        value = percent(row[name]) if is_share(name) else f"{row[name]:.4g}"
        what = "best: epoch" if name == monitor else "epoch"
        axes.set_title(f"{what} {epoch}, {value} in validation", loc="right", fontsize=8, color=QUIET)
