"""The filters of convolutions as tiles."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from runner.figures.canvas import coloured, limit_of, resized, tiles
from runner.figures.maps import shape_of
from runner.figures.sheet import DPI, Sheet, inches
from runner.figures.style import QUIET, Array, short_name, short_place

_MOST: Final = 64
_GAP: Final = 8  # in pixels
_HEADING, _MARGIN = 0.62, 0.15  # in inches
# Of the sheet of all convolutions: tiles in a row; their size, gap and space below in pixels; room for names in inches.
_ACROSS, _SIDE, _CLOSE, _LINE, _LEFT = 16, 46, 5, 18, 2.15
_PIXELS: Final = _ACROSS * (_SIDE + _CLOSE) - _CLOSE
_ONE_COLUMN: Final = 24  # convolutions, else the sheet is too high to look at


def filters(kernel: Array, name: str = "") -> Sheet:
    """At most 64 filters of a convolution as tiles; kernels are (h, w, c_in, c_out) or (w, c_in, c_out).

    Three input channels are shown as colours around mid-grey. Otherwise the mean over the input channels is shown,
    blue below zero and red above.
    """
    return _sheets([(name, kernel)])


def filters_before_and_after(before: Array, after: Array, *, name: str = "") -> Sheet:
    """The filters of a convolution before training at the left, and after it at the right, in one scale of colours."""
    return _sheets([("before training", before), ("after training", after)], name)


def every_filter(kernels: Sequence[tuple[str, Array]]) -> Sheet:
    """A row for each convolution with some of its filters; filters of one pixel as a matrix of all weights.

    Up to 24 convolutions show 32 filters each, in two lines; more show 16 each, and stand in two columns.
    """
    many = len(kernels) > _ONE_COLUMN
    shown, half = _ACROSS * (1 if many else 2), math.ceil(len(kernels) / 2) if many else len(kernels)
    rows = [_filter_row(_of_images(np.asarray(kernel, np.float32)), shown) for _, kernel in kernels]
    tops = [np.cumsum([0, *(row.shape[0] + _LINE for row in rows[first : first + half])]) for first in (0, half)]
    wide = _PIXELS / DPI
    sheet = Sheet((_LEFT + wide + _MARGIN) * (2 if many else 1), _HEADING + max(own[-1] for own in tops) / DPI)
    sheet.write(_MARGIN, 0.2, "The filters of every convolution", 12, bold=True)
    note = "blue: below zero, red: above; the mean over input channels that are no colours; 1×1: a row for each input"
    sheet.write(_MARGIN, 0.43, note, 8, colour=QUIET)
    for place, ((name, kernel), row) in enumerate(zip(kernels, rows, strict=True)):
        column, number = divmod(place, half)
        left, down = column * (_LEFT + wide + _MARGIN), _HEADING + tops[column][number] / DPI
        sheet.paste(row, left + _LEFT, down)
        middle = down + row.shape[0] / 2 / DPI
        *sizes, channels, count = _of_images(kernel).shape
        shape = shape_of((*sizes, channels, count))
        some = f", {shown} shown" if count > shown and max(sizes) > 1 else ""
        sheet.write(left + _MARGIN, middle, short_place(name, 30), 8, va="bottom")
        sheet.write(left + _MARGIN, middle + 0.03, shape + some, 7.5, colour=QUIET, va="top")
    return sheet


def _filter_row(kernel: Array, shown: int) -> Array:
    if kernel.shape[0] == kernel.shape[1] == 1:
        matrix = kernel[0, 0]  # (c_in, c_out)
        most = math.ceil(shown / _ACROSS) * _SIDE
        high, wide = min(most, max(12, matrix.shape[0] * 4)), min(_PIXELS, max(12, matrix.shape[1] * 6))
        return resized(coloured(matrix, limit_of(matrix)), high, wide)
    limit = limit_of(_shown(kernel))
    return _tiled(kernel[..., :shown], limit, _SIDE, _ACROSS, _CLOSE)


def _sheets(named: Sequence[tuple[str, Array]], name: str = "") -> Sheet:
    """Sheets of filters of one convolution beside each other."""
    kernels = [_of_images(np.asarray(kernel, np.float32)) for _, kernel in named]
    height_of, width_of, channels, count = kernels[0].shape
    limit = limit_of(np.stack([_shown(kernel) for kernel in kernels]))
    shown = min(count, _MOST)
    across = shown if shown <= 6 else min(8, math.ceil(math.sqrt(shown)))
    side = max(48, max(height_of, width_of) * 8)
    pictures = [_tiled(kernel[..., :shown], limit, side, across) for kernel in kernels]
    high, wide = (size / DPI for size in pictures[0].shape[:2])
    more = f" of {count}" if count > shown else ""
    what = f"{shown}{more} filters, {shape_of((height_of, width_of, channels))}"
    title = f"{short_place(name, 40)}: {what}" if name else what
    width = max(len(pictures) * (wide + 2 * _MARGIN), 4.6, inches(title, 11, bold=True) + 2 * _MARGIN)
    sheet = Sheet(width, high + _HEADING + _MARGIN)
    sheet.write(_MARGIN, 0.19, title, 11, bold=True)
    for place, ((label, _), picture) in enumerate(zip(named, pictures, strict=True)):
        left = place * width / len(pictures) + _MARGIN
        sheet.write(left, 0.45, short_name(label), 8.5, colour=QUIET)
        sheet.paste(picture, left, _HEADING)
    return sheet


def _of_images(kernel: Array) -> Array:
    return kernel[None] if kernel.ndim == 3 else kernel


def _shown(kernel: Array) -> Array:
    """What is shown of filters (h, w, c, n): all of three channels, else their mean."""
    return kernel if kernel.shape[2] == 3 else kernel.mean(axis=2, keepdims=True)


def _tiled(kernel: Array, limit: float, side: int, across: int, gap: int = _GAP) -> Array:
    shown = _shown(kernel)
    maps = np.clip(shown / (2 * limit) + 0.5, 0, 1) if shown.shape[2] == 3 else shown[:, :, 0]
    return tiles(maps, side=side, gap=gap, across=across, limit=limit)
