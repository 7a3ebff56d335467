"""Images that excite the filters of a layer: found in the data, and made for it."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from runner.figures.canvas import fitting, pasted, pictured, resized
from runner.figures.style import QUIET, Array, empty_figure, panel, show, write

_DPI: Final = 150
_FOUND, _MADE, _GAP = 96, 144, 8  # in pixels
_LEFT, _TITLE, _MARGIN = 1.15, 0.62, 0.15  # in inches
_ACROSS: Final = 6


def exciting_images(found: Sequence[tuple[int, float, Sequence[Array]]], *, title: str, note: str) -> Figure:
    """A row for each filter: its number, its largest response, and the parts (h, w, c) of images that it saw."""
    across = max(len(parts) for _, _, parts in found)
    canvas = np.ones((len(found) * (_FOUND + _GAP), across * (_FOUND + _GAP) - _GAP, 3))
    for row, (_, _, parts) in enumerate(found):
        for column, part in enumerate(parts):
            picture = resized(pictured(part), *fitting(part.shape[0], part.shape[1], _FOUND))
            pasted(canvas, picture, row * (_FOUND + _GAP), column * (_FOUND + _GAP))
    figure = _sheet(canvas, _LEFT, title, note)
    for row, (number, response, _) in enumerate(found):
        middle = _TITLE + (row * (_FOUND + _GAP) + _FOUND / 2) / _DPI
        write(figure, _MARGIN, middle, f"filter {number}", 9, va="bottom")
        write(figure, _MARGIN, middle + 0.03, f"up to {response:.3g}", 7.5, colour=QUIET, va="top")
    return figure


def made_images(made: Array, filters: Sequence[int], *, title: str, note: str) -> Figure:
    """Images (n, h, w, c) that were made to excite these filters, with the numbers of the filters."""
    rows = -(-len(made) // _ACROSS)
    across = min(_ACROSS, len(made))
    line = 30
    high, wide = fitting(made.shape[1], made.shape[2], _MADE)
    canvas = np.ones((rows * (high + line), across * (wide + _GAP) - _GAP, 3))
    for place, image in enumerate(made):
        row, column = divmod(place, across)
        pasted(canvas, resized(pictured(image), high, wide), row * (high + line) + line - 4, column * (wide + _GAP))
    figure = _sheet(canvas, _MARGIN, title, note)
    for place, number in enumerate(filters):
        row, column = divmod(place, across)
        x, down = _MARGIN + column * (wide + _GAP) / _DPI, _TITLE + (row * (high + line) + 14) / _DPI
        write(figure, x, down, f"filter {number}", 8)
    return figure


def _sheet(canvas: Array, left: float, title: str, note: str) -> Figure:
    wide, high = canvas.shape[1] / _DPI, canvas.shape[0] / _DPI
    longest = max(0.115 * len(title), 0.08 * len(note))
    figure = empty_figure(max(left + wide + _MARGIN, longest + 2 * _MARGIN), _TITLE + high + _MARGIN, layout=None)
    show(panel(figure, left, _TITLE, wide, high), canvas)
    write(figure, _MARGIN, 0.22, title, 11.5, bold=True)
    write(figure, _MARGIN, 0.45, note, 8.5, colour=QUIET)
    return figure
