"""Images that excite the filters of a layer: found in the data, and made for it."""

from collections.abc import Sequence
from typing import Final

from runner.figures.canvas import fitting, pictured, resized
from runner.figures.sheet import DPI, Sheet, inches
from runner.figures.style import QUIET, Array

# Sizes in inches: images found and made, the gap between them, names beside rows, the heading, the line above an image.
_FOUND, _MADE, _GAP, _LEFT, _TITLE, _LINE = 0.64, 0.96, 0.05, 1.15, 0.62, 0.2
_MARGIN: Final = 0.15
_ACROSS: Final = 6


def exciting_images(found: Sequence[tuple[int, float, Sequence[Array]]], *, title: str, note: str) -> Sheet:
    """A row for each filter: its number, its largest response, and the parts (h, w, c) of images that it saw."""
    across, step = max(len(parts) for _, _, parts in found), _FOUND + _GAP
    sheet = _headed(_LEFT + across * step, len(found) * step, title, note)
    for row, (number, response, parts) in enumerate(found):
        top = _TITLE + row * step
        for column, part in enumerate(parts):
            sheet.paste(_tile(part, _FOUND), _LEFT + column * step, top)
        sheet.write(_MARGIN, top + _FOUND / 2, f"filter {number}", 9, va="bottom")
        sheet.write(_MARGIN, top + _FOUND / 2 + 0.03, f"up to {response:.3g}", 7.5, colour=QUIET, va="top")
    return sheet


def made_images(made: Sequence[tuple[int, float, Array]], *, title: str, note: str) -> Sheet:
    """Images (h, w, c) that were made to excite filters, each with the number of its filter and its response."""
    across, step = min(_ACROSS, len(made)), _MADE + _GAP
    high = _tile(made[0][2], _MADE).shape[0] / DPI + _LINE
    sheet = _headed(_MARGIN + across * step, -(-len(made) // across) * high, title, note)
    for place, (number, response, image) in enumerate(made):
        row, column = divmod(place, across)
        left, top = _MARGIN + column * step, _TITLE + row * high
        sheet.write(left, top + _LINE / 2, f"filter {number}: {response:.3g}", 8)
        sheet.paste(_tile(image, _MADE), left, top + _LINE)
    return sheet


def _headed(wide: float, high: float, title: str, note: str) -> Sheet:
    longest = max(inches(title, 11.5, bold=True), inches(note, 8.5)) + _MARGIN
    sheet = Sheet(max(wide, longest) + _MARGIN, _TITLE + high + _MARGIN)
    sheet.write(_MARGIN, 0.22, title, 11.5, bold=True)
    sheet.write(_MARGIN, 0.45, note, 8.5, colour=QUIET)
    return sheet


def _tile(image: Array, side: float) -> Array:
    """An image as colours (h, w, 3), its longer side so many inches."""
    height, width = image.shape[:2]
    return resized(pictured(image), *fitting(height, width, round(side * DPI)))
