"""The filters of convolutions as tiles."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from runner.figures.canvas import coloured, limit_of, pasted, resized, tiles
from runner.figures.maps import shape_of
from runner.figures.sheet import DPI, Sheet
from runner.figures.style import QUIET, Array, short_name, short_place

_MOST: Final = 64
_GAP: Final = 8  # in pixels
_HEADING, _MARGIN = 0.62, 0.15  # in inches


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
    """A row for each convolution with at most 32 of its filters; filters of one pixel as a matrix of all weights."""
    across, side, gap, line, left = 16, 46, 5, 18, 2.15
    pixels = across * (side + gap) - gap
    rows = [_filter_row(_of_images(np.asarray(kernel, np.float32)), across, side, gap) for _, kernel in kernels]
    tops = np.cumsum([0, *(row.shape[0] + line for row in rows)])
    canvas = np.ones((int(tops[-1]), pixels, 3), np.float32)
    for row, top in zip(rows, tops, strict=False):
        pasted(canvas, row, int(top), 0)
    wide, high = pixels / DPI, tops[-1] / DPI
    sheet = Sheet(left + wide + _MARGIN, _HEADING + high)
    sheet.paste(canvas, left, _HEADING)
    sheet.write(_MARGIN, 0.2, "The filters of every convolution", 12, bold=True)
    note = "blue: below zero, red: above; the mean over input channels that are no colours; 1×1: a row for each input"
    sheet.write(_MARGIN, 0.43, note, 8, colour=QUIET)
    for (name, kernel), row, top in zip(kernels, rows, tops, strict=False):
        middle = _HEADING + (top + row.shape[0] / 2) / DPI
        *sizes, channels, count = _of_images(kernel).shape
        shape = shape_of((*sizes, channels, count))
        shown = f", {2 * across} shown" if count > 2 * across and max(sizes) > 1 else ""
        sheet.write(_MARGIN, middle, short_place(name, 30), 8, va="bottom")
        sheet.write(_MARGIN, middle + 0.03, shape + shown, 7.5, colour=QUIET, va="top")
    return sheet


def _filter_row(kernel: Array, across: int, side: int, gap: int) -> Array:
    if kernel.shape[0] == kernel.shape[1] == 1:
        matrix = kernel[0, 0]  # (c_in, c_out)
        high, wide = (
            min(2 * side, max(12, matrix.shape[0] * 4)),
            min(across * (side + gap) - gap, max(12, matrix.shape[1] * 6)),
        )
        return resized(coloured(matrix, limit_of(matrix)), high, wide)
    limit = limit_of(_shown(kernel))
    return _tiled(kernel[..., : 2 * across], limit, side, across, gap)


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
    width = max(len(pictures) * (wide + 2 * _MARGIN), 4.6, 0.115 * len(title) + 2 * _MARGIN)
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
