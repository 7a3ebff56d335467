"""Examples in two dimensions: a dot for each, thumbnails where there is room, and the names of the classes."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from runner.figures.canvas import fitting, pictured, resized
from runner.figures.style import QUIET, Array, empty_figure, panel, short_name, write

# The colours of Okabe & Ito, without black; the markers change after each round, so that 28 classes differ.
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A6A00")
_MARKERS: Final = "os^D"
_SIGNS: Final = {"o": "●", "s": "■", "^": "▲", "D": "◆"}
_SIDE, _GAP, _TITLE, _LEGEND = 5.4, 0.35, 0.72, 1.55  # in inches
_THUMB: Final = 0.052  # of the side of a panel
_MOST_CLASSES: Final = 28


def embedding(
    panels: Sequence[tuple[str, Array]],
    labels: Array,
    images: Array | None,
    classes: Sequence[str],
    *,
    title: str,
    note: str,
) -> Figure:
    """A panel for each way to place examples: points (n, 2) of the classes `labels` (n,); `images` are (n, h, w, c)."""
    step = _SIDE + _GAP
    figure = empty_figure(len(panels) * step + _LEGEND, _TITLE + _SIDE + 0.2, layout=None)
    write(figure, 0.15, 0.2, title, 12, bold=True)
    write(figure, 0.15, 0.42, note, 8.5, colour=QUIET)
    for place, (name, points) in enumerate(panels):
        left = 0.15 + place * step
        write(figure, left, _TITLE - 0.09, name, 9.5)
        _panel(panel(figure, left, _TITLE, _SIDE, _SIDE), _spread(points), labels, images)
    shown = [label for label in range(len(classes)) if (labels == label).any()][:_MOST_CLASSES]
    x = 0.05 + len(panels) * step
    for row, label in enumerate(shown):
        colour, marker = _look(label)
        down = _TITLE + 0.12 + 0.185 * row
        write(figure, x, down, _SIGNS[marker], 9, colour=colour)
        write(figure, x + 0.18, down, short_name(classes[label], 16), 8)
    if hidden := len(np.unique(labels)) - len(shown):
        write(figure, x, _TITLE + 0.12 + 0.185 * len(shown), f"and {hidden} more", 8, colour=QUIET)
    return figure


def _spread(points: Array) -> Array:
    """Points in 0.04 … 0.96 along each axis."""
    low, high = points.min(axis=0), points.max(axis=0)
    found: Array = 0.04 + 0.92 * (points - low) / np.where(high > low, high - low, 1)
    return found


def _look(label: int) -> tuple[str, str]:
    return _COLOURS[label % len(_COLOURS)], _MARKERS[label // len(_COLOURS) % len(_MARKERS)]


def _panel(axes: Axes, points: Array, labels: Array, images: Array | None) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#BBBBBB")
    for label in np.unique(labels):
        colour, marker = _look(int(label))
        own = points[labels == label]
        axes.scatter(own[:, 0], own[:, 1], s=13, color=colour, marker=marker, linewidths=0, alpha=0.75)
    if images is None or images.ndim != 4:
        return
    for index in _apart(points):
        image = pictured(images[index])
        pixels = fitting(image.shape[0], image.shape[1], 48)
        high, wide = (size / 48 * _THUMB for size in pixels)
        x, y = points[index]
        box = (x - wide / 2, x + wide / 2, y - high / 2, y + high / 2)
        axes.imshow(resized(image, *pixels), extent=box, aspect="auto", zorder=3)
        colour = _look(int(labels[index]))[0]
        frame = Rectangle((box[0], box[2]), wide, high, fill=False, edgecolor=colour, linewidth=1.5, zorder=4)
        axes.add_patch(frame)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)


def _apart(points: Array) -> list[int]:
    """Points so far from each other that thumbnails there do not overlap."""
    kept: list[int] = []
    for index, point in enumerate(points):
        near = np.abs(points[kept] - point).max(axis=1) if kept else np.ones(1)
        if near.min() > 1.15 * _THUMB:
            kept.append(index)
    return kept
