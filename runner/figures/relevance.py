"""Maps of the pixels that matter for a class, beside what says whether they can be believed."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from runner.figures.answers import Answered, verdict
from runner.figures.canvas import coloured, limit_of, pictured
from runner.figures.inputs import draw_input
from runner.figures.style import QUIET, VAL, Array, empty_figure, panel, percent, short_name, write

_SIDE, _PLOT, _GAP, _LEFT = 1.9, 2.3, 0.3, 0.2  # in inches
_TITLE, _ABOVE, _BELOW = 0.62, 0.52, 0.42
_POSITIVE: Final = "viridis"


class Relevance(NamedTuple):
    """A map (h, w) of an image for a class, and its checks.

    `shuffled` is the map by a network with shuffled weights, `likeness` its rank correlation with the map. `shares` of
    the pixels were made grey, and left these probabilities of the class: `by_map` the largest first, or `at_random`.
    """

    answered: Answered
    image: Array  # (h, w, c), as the network sees it
    label: int
    values: Array
    shuffled: Array
    likeness: float
    shares: Array
    by_map: Array
    at_random: Array


def relevance(
    rows: Sequence[Relevance], classes: Sequence[str], *, method: str, note: str, signed: bool = False
) -> Figure:
    """A row for each image and class: the image, its map, the map by shuffled weights, and the deletion curve.

    `signed` says that values of the method can be below zero; see `overlaid`.
    """
    row, step = _ABOVE + _SIDE + _BELOW, _SIDE + _GAP
    plot = _LEFT + 3 * step + 0.35
    figure = empty_figure(plot + _PLOT + 0.2, _TITLE + row * len(rows), layout=None)
    write(figure, _LEFT, 0.22, method, 12, bold=True)
    write(figure, _LEFT, 0.45, note, 8.5, colour=QUIET)
    for number, one in enumerate(rows):
        top = _TITLE + row * number
        text, colour = verdict(one.answered, classes)
        write(figure, _LEFT, top + 0.12, text, 9.5, bold=True, colour=colour)
        heads = (
            short_name(one.answered.name, 24),
            f"for the class {short_name(classes[one.label], 24)}",
            "by shuffled weights",
        )
        maps = [overlaid(one.image, values, signed=signed) for values in (one.values, one.shuffled)]
        for place, (head, picture) in enumerate(zip(heads, (pictured(one.image), *maps), strict=True)):
            axes = panel(figure, _LEFT + place * step, top + _ABOVE, _SIDE, _SIDE)
            draw_input(axes, picture)
            axes.set_anchor("N")
            write(figure, _LEFT + place * step, top + _ABOVE - 0.1, head, 8.5)
        alike = f"rank correlation with the map {one.likeness:.2f}"
        write(figure, _LEFT + 2 * step, top + _ABOVE + _SIDE + 0.1, alike, 7.5, colour=QUIET)
        write(figure, plot, top + _ABOVE - 0.1, "probability while pixels turn grey", 8.5)
        _deletion(panel(figure, plot, top + _ABOVE, _PLOT, _SIDE), one)
        areas = [float(np.trapezoid(curve, one.shares)) for curve in (one.by_map, one.at_random)]
        below = top + _ABOVE + _SIDE + 0.29
        write(figure, plot, below, f"area {areas[0]:.2f}", 7.5, colour=VAL)
        write(figure, plot + _PLOT, below, f"at random (dashed) {areas[1]:.2f}", 7.5, colour=QUIET, ha="right")
    return figure


def overlaid(image: Array, values: Array, *, signed: bool) -> Array:
    """A map (h, w) over the greys of its image (h, w, c): colours (h, w, 3).

    Signed maps are blue below zero, grey at zero and red above; others are from dark to yellow.
    """
    grey = pictured(image).mean(axis=-1, keepdims=True)
    limit = limit_of(values)
    if signed:
        size = np.clip(np.abs(values) / limit, 0, 1)[..., None]
        cool: Array = (1 - size) * (0.55 + 0.45 * grey) + size * coloured(values, limit)
        return cool
    warm: Array = 0.4 * grey + 0.6 * colormaps[_POSITIVE](np.clip(values / limit, 0, 1))[..., :3]
    return warm


def _deletion(axes: Axes, one: Relevance) -> None:
    axes.plot(one.shares, one.at_random, color=QUIET, linewidth=1.2, linestyle="--")
    axes.plot(one.shares, one.by_map, color=VAL, linewidth=1.8)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xticks([0, 0.5, 1], ["0%", "50%", percent(1)])
    axes.set_yticks([0, 0.5, 1], ["0%", "50%", percent(1)])
    axes.tick_params(labelsize=7.5, colors=QUIET, length=2)
    axes.spines[["top", "right"]].set_visible(False)
