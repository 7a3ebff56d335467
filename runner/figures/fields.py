"""Receptive fields drawn on the image: what a unit can see, and what it looks at."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle as Patch

from runner.figures.canvas import pictured
from runner.figures.inputs import draw_input
from runner.figures.style import QUIET, VAL, Array, empty_figure, panel, short_name, short_place, write

_SIDE, _GAP, _LEFT = 1.85, 0.2, 0.95  # in inches
_TITLE, _HEAD = 0.62, 0.5
_DARK: Final = 0.22


class Field(NamedTuple):
    """The receptive field of a unit: its layer, the shape of the maps, its place, the pixels and how much each counts.

    `pixels` are top, left, bottom and right, and may lie outside of the image; `weights` (h, w) are not negative.
    """

    name: str
    shape: str
    position: tuple[int, int]
    pixels: tuple[int, int, int, int]
    weights: Array


def receptive_fields(image: Array, fields: Sequence[Field], *, name: str) -> Figure:
    """A column for each layer: the theoretical field above, the effective one below, all else darkened."""
    step = _SIDE + _GAP
    figure = empty_figure(_LEFT + len(fields) * step + 0.1, _TITLE + _HEAD + 2 * step + 0.05, layout=None)
    write(figure, 0.15, 0.22, "What a unit sees", 12, bold=True)
    note = f"{short_name(name, 30)}; one unit of each layer; dark: of no influence"
    write(figure, 0.15, 0.45, note, 8.5, colour=QUIET)
    picture = pictured(image)
    tops = [_TITLE + _HEAD + row * step for row in range(2)]
    for word, top in zip(("can see", "looks at"), tops, strict=True):
        write(figure, 0.15, top + _SIDE / 2, word, 9.5)
    for place, field in enumerate(fields):
        left = _LEFT + place * step
        high, wide = field.pixels[2] - field.pixels[0], field.pixels[3] - field.pixels[1]
        row, column = field.position
        write(figure, left, _TITLE + 0.1, short_place(field.name, 22), 8.5, bold=True)
        write(figure, left, _TITLE + 0.25, f"{field.shape}, row {row}, column {column}", 7.5, colour=QUIET)
        write(figure, left, _TITLE + 0.39, f"{high}×{wide} pixels", 7.5, colour=QUIET)
        for top, shown in zip(tops, (_inside(picture, field.pixels), _weighted(picture, field.weights)), strict=True):
            axes = panel(figure, left, top, _SIDE, _SIDE)
            draw_input(axes, shown)
            axes.add_patch(_frame(field.pixels, picture.shape))
    return figure


def _frame(pixels: tuple[int, int, int, int], shape: tuple[int, ...]) -> Patch:
    """The edge of the field, as far as it is in the image."""
    top, left = max(pixels[0], 0), max(pixels[1], 0)
    bottom, right = min(pixels[2], shape[0]), min(pixels[3], shape[1])
    return Patch((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, edgecolor=VAL, linewidth=1.6)


def _inside(picture: Array, pixels: tuple[int, int, int, int]) -> Array:
    top, left, bottom, right = (max(edge, 0) for edge in pixels)
    shown = picture * _DARK
    shown[top:bottom, left:right] = picture[top:bottom, left:right]
    return shown


def _weighted(picture: Array, weights: Array) -> Array:
    largest = float(np.percentile(weights, 99.5)) or float(weights.max()) or 1.0
    light = np.clip(weights / largest, 0, 1)[..., None] ** 0.5
    return picture * (_DARK + (1 - _DARK) * light)
