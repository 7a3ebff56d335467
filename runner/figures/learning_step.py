"""What training changed for one example: the target, the outputs and the loss, before and after."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from runner.figures.inputs import draw_input
from runner.figures.style import QUIET, TRAIN, VAL, Array, empty_figure, short_name


@dataclass(frozen=True, eq=False)
class Outputs:
    """The outputs (k,) of a network for an example, their loss, and each output's own part of it, if it has one."""

    values: Array
    loss: float
    parts: Array | None


def learning_step(
    image: Array, classes: Sequence[str], target: Array, before: Outputs, after: Outputs, *, loss: str
) -> Figure:
    """Bars of the outputs before and after training beside the example, and a table of the numbers."""
    count = len(classes)
    figure = empty_figure(9.6, max(3.2, 0.62 * count + 1.2))
    pictured, *panels = figure.subplots(1, 3, gridspec_kw={"width_ratios": [1.0, 1.6, 2.3]})
    draw_input(pictured, image)
    pictured.set_title(f"target: {short_name(classes[int(target.argmax())], 16)}", fontsize=9.5)
    _bars(panels[0], classes, target, before.values, after.values)
    _table(panels[1], classes, target, before, after, loss)
    return figure


def _bars(axes: Axes, classes: Sequence[str], target: Array, before: Array, after: Array) -> None:
    rows = np.arange(len(classes))
    axes.barh(rows - 0.19, before, 0.36, color=QUIET, label="before")
    axes.barh(rows + 0.19, after, 0.36, color=TRAIN, label="after")
    axes.plot(target, rows, "D", color=VAL, markersize=6, label="target", linestyle="none", clip_on=False, zorder=3)
    axes.set_yticks(rows, [short_name(name, 14) for name in classes], fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(min(0.0, float(before.min()), float(after.min())), max(1.0, float(before.max()), float(after.max())))
    axes.set_title("outputs", fontsize=9.5)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3, handletextpad=0.4)


def _table(axes: Axes, classes: Sequence[str], target: Array, before: Outputs, after: Outputs, loss: str) -> None:
    """A row for each class and one for the sums."""
    axes.axis("off")
    axes.set_title(loss, fontsize=9.5)
    head = ["class", "target", "before", "its part", "after", "its part"]
    rows = []
    for index, name in enumerate(classes):
        own = [short_name(name, 14), f"{target[index]:g}"]
        for side in (before, after):
            own += [_number(side.values[index]), "" if side.parts is None else _number(side.parts[index])]
        rows.append(own)
    rows.append(["loss", "", "", _number(before.loss), "", _number(after.loss)])
    table = axes.table([head, *rows], loc="center", cellLoc="right", edges="horizontal", bbox=Bbox.unit())
    table.auto_set_font_size(False)
    table.set_fontsize(9)
    for (row, column), cell in table.get_celld().items():
        cell.set_linewidth(0.5)
        cell.set_edgecolor(QUIET)
        bold = row in (0, len(rows))
        cell.set_text_props(
            fontweight="bold" if bold else "normal", ha="left" if column == 0 else "right",
            color=TRAIN if column in (4, 5) else "black",
        )  # fmt: skip


def _number(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")
