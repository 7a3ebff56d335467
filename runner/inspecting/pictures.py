"""Images and signals in a row, as one picture that a page holds within its own text.

>>> strip(np.zeros((3, 8, 8, 1), np.uint8))[:22]
'data:image/png;base64,'
"""

import base64
import io
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from PIL import Image

from runner.figures.canvas import fitting, pictured
from runner.figures.sheet import DPI, Sheet

_SIDE: Final = 64
_GAP: Final = 4
_CURVE: Final = (1.6, 0.6)  # inches
_COLOURS: Final = ("#0072B2", "#D55E00", "#009E73")

Array = np.ndarray[Any, Any]


def strip(inputs: Array | Sequence[Array], side: int = _SIDE) -> str:
    """The address of a picture of images (h, w, c), or signals (length, c), beside each other.

    Bytes, or floats of which the least is black or 0. The longer side of an image takes `side` pixels.
    """
    if inputs[0].ndim == 2:
        return _curves(inputs)
    tiles = [_tile(image, side) for image in inputs]
    width = sum(tile.width for tile in tiles) + _GAP * (len(tiles) - 1)
    row = Image.new("RGB", (width, max(tile.height for tile in tiles)), "white")
    left = 0
    for tile in tiles:
        row.paste(tile, (left, 0))
        left += tile.width + _GAP
    return _address(row)


def _tile(image: Array, side: int) -> Image.Image:
    height, width = fitting(image.shape[0], image.shape[1], side)
    tile = Image.fromarray(np.round(pictured(image) * 255).astype(np.uint8))
    larger = height > image.shape[0]
    return tile.resize((width, height), Image.Resampling.NEAREST if larger else Image.Resampling.BOX)


def _curves(signals: Sequence[Array] | Array) -> str:
    wide, high = _CURVE
    sheet = Sheet(wide * len(signals), high)
    for place, signal in enumerate(signals):
        sheet.curves(np.asarray(signal, np.float64), place * wide, 0, wide - _GAP / DPI, high, _COLOURS)
    return _address(Image.fromarray(sheet.pixels))


def _address(picture: Image.Image) -> str:
    """The picture within an address, as PNG, or as JPEG where that is much smaller: photographs."""
    png, jpeg = io.BytesIO(), io.BytesIO()
    picture.save(png, "png", optimize=False)
    picture.save(jpeg, "jpeg", quality=88)
    kind, content = ("jpeg", jpeg) if 2 * jpeg.tell() < png.tell() else ("png", png)
    return f"data:image/{kind};base64,{base64.b64encode(content.getvalue()).decode()}"
