"""The outputs of layers for some images: feature maps as tiles, and vectors as strips of colours."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from runner.figures.answers import Answered, verdict
from runner.figures.canvas import coloured, fitting, limit_of, pasted, pictured, resized, tiles
from runner.figures.sheet import DPI, Sheet
from runner.figures.style import QUIET, Array, short_name, short_place

_TILE, _GAP, _ROW_GAP = 72, 6, 14  # in pixels
_ACROSS: Final = 12
_LABELS, _HEADING, _FOOT = 2.15, 0.42, 0.3  # in inches
_STRIP: Final = 26
_LEAST: Final = 40  # of a row: two lines of text


class LayerMaps(NamedTuple):
    """The outputs of a layer (n, h, w, c), (n, length, c) or (n, k) for each image."""

    name: str
    outputs: Array

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the output for one image."""
        return tuple(self.outputs.shape[1:])


def feature_maps(answered: Sequence[Answered], classes: Sequence[str], layers: Sequence[LayerMaps]) -> Sheet:
    """A row for each layer with its first twelve channels, and a column for each image.

    Each layer has its own scale of colours, the same for all images and channels: blue below zero, red above.
    """
    limits = [limit_of(layer.outputs) for layer in layers]
    heights = [_TILE, *(max(_height(layer.shape), _LEAST) for layer in layers)]
    tops = np.cumsum([0, *(height + _ROW_GAP for height in heights)])
    pixels = _ACROSS * (_TILE + _GAP) - _GAP
    wide, high = pixels / DPI, tops[-1] / DPI
    sheet = Sheet(_LABELS + len(answered) * (wide + 0.3), _HEADING + high + _FOOT)
    for place, one in enumerate(answered):
        canvas = np.ones((int(tops[-1]), pixels, 3), np.float32)
        _paste_input(canvas, one.image)
        for layer, top, limit in zip(layers, tops[1:], limits, strict=False):
            pasted(canvas, _row(layer.outputs[place], limit, pixels), int(top), 0)
        left = _LABELS + place * (wide + 0.3)
        sheet.paste(canvas, left, _HEADING)
        text, colour = verdict(one, classes)
        sheet.write(left, 0.2, text, 10, colour=colour, bold=True)
        sheet.write(left + wide, 0.2, short_name(one.name, 20), 8, colour=QUIET, ha="right")
    names = ["image", *(layer.name for layer in layers)]
    shapes = [shape_of(answered[0].image.shape), *(shape_of(layer.shape) for layer in layers)]
    scales = ["", *(f", up to {limit:.2g}" for limit in limits)]
    for name, shape, scale, top, own in zip(names, shapes, scales, tops, heights, strict=False):
        middle = _HEADING + (top + own / 2) / DPI
        sheet.write(0.1, middle, short_place(name, 30), 8, va="bottom")
        sheet.write(0.1, middle + 0.02, shape + scale, 7.5, colour=QUIET, va="top")
    note = "blue: below zero, white: zero, red: above; each layer has its own scale"
    hidden = any(layer.shape[-1] > _ACROSS for layer in layers if len(layer.shape) == 3)
    note += f"; the first {_ACROSS} channels" if hidden else ""
    sheet.write(_LABELS, _HEADING + high + _FOOT - 0.12, note, 7.5, colour=QUIET)
    return sheet


def shape_of(shape: Sequence[int]) -> str:
    """A shape as text: 28×28×6."""
    return "×".join(map(str, shape))


def _height(shape: tuple[int, ...]) -> int:
    """The height of a layer's row in pixels."""
    if len(shape) == 3:
        return fitting(shape[0], shape[1], _TILE)[0]
    return _STRIP if len(shape) == 1 else _TILE


def _row(output: Array, limit: float, pixels: int) -> Array:
    if output.ndim == 3:
        return tiles(output[..., :_ACROSS], side=_TILE, gap=_GAP, across=_ACROSS, limit=limit)
    # A vector as a strip, a signal (length, c) with a line for each channel; each value is at least a pixel wide.
    picture = coloured(output[None] if output.ndim == 1 else output.T, limit)
    wide = min(pixels, picture.shape[1] * max(1, pixels // picture.shape[1]))
    found = resized(picture, _height(output.shape), wide)
    for edge in (found[0], found[-1], found[:, 0], found[:, -1]):
        edge *= 0.85
    return found


def _paste_input(canvas: Array, image: Array) -> None:
    if image.ndim == 3:
        pasted(canvas, resized(pictured(image), *fitting(image.shape[0], image.shape[1], _TILE)), 0, 0)
    else:
        pasted(canvas, _row(image.astype(np.float32), limit_of(image.astype(np.float32)), canvas.shape[1]), 0, 0)
