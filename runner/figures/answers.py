"""What a network answers to an image: a line that says whether it is right, and the probabilities of the classes."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from runner.figures.canvas import pictured
from runner.figures.style import QUIET, RIGHT, WRONG, Array, empty_figure, panel, percent, short_name, write

_BARS: Final = 10
_OTHER: Final = "#BBBBBB"
# Sizes in inches: an image, the names of classes beside it, the bars, the heading and the height of a bar.
_IMAGE, _NAMES, _WIDE, _HEADING, _BAR = 1.9, 1.35, 2.0, 0.62, 0.215


class Answered(NamedTuple):
    """An image with its name, its true class if it is known, and the probabilities of the classes (k,)."""

    image: Array
    name: str
    truth: int | None
    probabilities: Array

    @property
    def taken(self) -> int:
        """The class with the largest probability."""
        return int(self.probabilities.argmax())


def verdict(one: Answered, classes: Sequence[str]) -> tuple[str, str]:
    """What the network answers, in a line, and the line's colour."""
    taken, share = short_name(classes[one.taken], 18), percent(float(one.probabilities[one.taken]))
    if one.truth is None:
        return f"{taken}, {share}", "black"
    if one.truth == one.taken:
        return f"right: {taken}, {share}", RIGHT
    return f"wrong: {taken}, {share}; it is {short_name(classes[one.truth], 18)}", WRONG


def class_probabilities(answered: Sequence[Answered], classes: Sequence[str]) -> Figure:
    """Each image with bars of its most probable classes, at most ten, and of the true one."""
    shown = [_shown(one) for one in answered]
    wide = _IMAGE + _NAMES + _WIDE + 0.55
    high = max(max(map(len, shown)) * _BAR, _IMAGE)
    figure = empty_figure(wide * len(answered), _HEADING + high + 0.2, layout=None)
    for place, (one, kept) in enumerate(zip(answered, shown, strict=True)):
        left = place * wide + 0.12
        text, colour = verdict(one, classes)
        write(figure, left, 0.2, text, 10.5, colour=colour, bold=True)
        write(figure, left, 0.41, short_name(one.name, 36), 8, colour=QUIET)
        draw_input(panel(figure, left, _HEADING, _IMAGE, _IMAGE), one.image)
        bars = panel(figure, left + _IMAGE + _NAMES, _HEADING, _WIDE, len(kept) * _BAR)
        _bars(bars, one, kept, classes)
    return figure


def draw_input(axes: Axes, image: Array) -> None:
    """An image, or the curves of a signal (length, c), without ticks."""
    if image.ndim == 2:
        axes.plot(image, linewidth=0.8)
    else:
        axes.imshow(pictured(image), interpolation="nearest")
        axes.set_anchor("NW")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)
        spine.set_color(QUIET)


def _shown(one: Answered) -> list[int]:
    """The classes that have a bar, the most probable first."""
    order = np.argsort(-one.probabilities, kind="stable")
    kept = [int(place) for place in order[:_BARS]]
    if one.truth is not None and one.truth not in kept:
        kept[-1] = one.truth
    return kept


def _bars(axes: Axes, one: Answered, kept: Sequence[int], classes: Sequence[str]) -> None:
    shares = [float(one.probabilities[place]) for place in kept]
    colours = [
        RIGHT if place == one.truth else WRONG if place == one.taken and one.truth is not None else _OTHER
        for place in kept
    ]
    if one.truth is None:
        colours[0] = RIGHT
    axes.barh(range(len(kept)), shares, height=0.72, color=colours)
    axes.set_yticks(range(len(kept)), [short_name(classes[place], 18) for place in kept], fontsize=8)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(kept) - 0.5, -0.5)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for row, share in enumerate(shares):
        axes.text(share + 0.015, row, percent(share), fontsize=7.5, va="center", color=QUIET)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.spines["left"].set_color(QUIET)
    axes.spines["left"].set_linewidth(0.6)
