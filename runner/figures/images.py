"""The images that a run classified worst."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from runner.figures.inputs import draw_input
from runner.figures.style import QUIET, RIGHT, WRONG, Array, empty_figure, short_name

_SHEET = 24
# Heights in a sheet of images, in inches: its heading, and the text above and below each image.
_HEADING, _ABOVE, _BELOW = 0.42, 0.16, 0.36


def worst_images(
    images: Array,
    labels: Array,
    probabilities: Array,
    classes: Sequence[str],
    *,
    files: Sequence[str] = (),
    of: str = "images",
    count: int = _SHEET,
) -> Figure:
    """A sheet of the images whose true class has the lowest probability, the worst first; `of` says what they are.

    Images are (n, h, w, c) or (n, length, c), labels (n,), probabilities (n, k). Each image has the name of its file
    above, or its index if there are no `files`, and its true class and the predicted class with its probability below.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    given = probabilities[np.arange(len(labels)), labels]
    worst = np.argsort(given, kind="stable")[:count]
    columns = max(1, min(8, len(worst)))
    rows = max(1, math.ceil(len(worst) / columns))
    figure = empty_figure(max(1.36 * columns, 5.5), 1.72 * rows + _HEADING, layout=None)
    predictions = probabilities.argmax(axis=1)
    wrong = int((predictions != labels).sum())
    figure.suptitle(
        f"The worst of {len(labels):,} {of}: {wrong:,} classified wrongly" if wrong else
        f"The least certain of {len(labels):,} {of}: all classified correctly",
        fontsize=11, fontweight="bold", y=1 - 0.5 * _HEADING / figure.get_figheight(), va="center",
    )  # fmt: skip
    for place, index in enumerate(worst):
        axes = _tile(figure, rows, columns, place)
        draw_input(axes, np.asarray(images[index]))
        above = short_name(files[index].rpartition("/")[2], 22) if files else f"#{index}"
        axes.set_title(above, fontsize=6.5, color=QUIET, pad=2)
        predicted = int(predictions[index])
        colour = RIGHT if predicted == labels[index] else WRONG
        answer = f"as {short_name(classes[predicted], 11)}, {probabilities[index, predicted]:.0%}"
        _line_under(axes, 0, f"true: {short_name(classes[labels[index]], 13)}", color="black")
        _line_under(axes, 1, answer, color=colour, fontweight="bold")
    return figure


def _tile(figure: Figure, rows: int, columns: int, place: int) -> Axes:
    """Axes for an image with one line of text above and two below.

    Computed here, because matplotlib's layout solver takes as long as the rest of the drawing.
    """
    width, height = figure.get_size_inches()
    wide, high = width / columns, (height - _HEADING) / rows
    side = min(wide - 0.14, high - _ABOVE - _BELOW)
    row, column = divmod(place, columns)
    left = wide * (column + 0.5) - side / 2
    bottom = height - _HEADING - high * row - _ABOVE - side
    return figure.add_axes((left / width, bottom / height, side / width, side / height))


def _line_under(axes: Axes, line: int, text: str, **style: Any) -> None:
    offset = (0, -3 - 10.5 * line)
    axes.annotate(
        text,
        (0.5, 0),
        xytext=offset,
        xycoords="axes fraction",
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=7.2,
        **style,
    )
