"""Feature maps and filters as tiles in one array of pixels, which is drawn faster than many axes.

>>> tiles(np.ones((5, 5, 3)), side=20, gap=4, across=2, limit=1.0).shape
(44, 44, 3)
"""

import math
from typing import Final

import numpy as np

from runner.figures.style import Array

SIGNED: Final = "RdBu_r"
"""matplotlib's name for the colours of values around zero: blue below, white at zero, red above."""
# ColorBrewer's colours of that name, from -1 to 1.
_STOPS: Final = (
    np.array([0x053061, 0x2166AC, 0x4393C3, 0x92C5DE, 0xD1E5F0, 0xF7F7F7,
              0xFDDBC7, 0xF4A582, 0xD6604D, 0xB2182B, 0x67001F])[:, None] >> np.array([16, 8, 0]) & 255
) / 255  # fmt: skip
_SHADES: Final = np.stack(
    [np.interp(np.linspace(0, 10, 256), np.arange(11), channel) for channel in _STOPS.T], axis=-1
).astype(np.float32)


def limit_of(values: Array) -> float:
    """The largest magnitude of values but for rare outliers: the end of their scale of colours."""
    magnitudes = np.abs(values[np.isfinite(values)])
    return float(np.percentile(magnitudes, 99.9)) if magnitudes.size and magnitudes.max() > 0 else 1.0


def coloured(values: Array, limit: float) -> Array:
    """Values as colours (…, 3) in 0 … 1, white at zero."""
    places = np.clip((values / limit + 1) * 128, 0, 255)
    found: Array = _SHADES[np.nan_to_num(places, nan=128).astype(np.uint8)]
    return found


def pictured(image: Array) -> Array:
    """An image (h, w, c) as colours (h, w, 3) in 0 … 1; its mean channel in grey unless it has three.

    Floats may have any unit: if there are values below 0, the image is scaled to its own range.
    """
    low = 0.0 if image.dtype == np.uint8 else min(float(image.min()), 0.0)
    width = 255 if image.dtype == np.uint8 else max(float(image.max()) - low, 1e-6)
    shown = image if image.shape[-1] == 3 else np.repeat(image.mean(axis=-1, keepdims=True), 3, axis=-1)
    return np.clip((shown - low) / width, 0, 1)


def resized(picture: Array, height: int, width: int) -> Array:
    """A picture (h, w, …) of another size: each pixel is repeated, or the mean of those in its place."""
    for axis, size in ((0, height), (1, width)):
        old = picture.shape[axis]
        if old <= size:
            picture = np.take(picture, np.arange(size) * old // size, axis=axis)
        else:
            starts = np.arange(size) * old // size
            counts = np.diff([*starts, old]).reshape([-1 if own == axis else 1 for own in range(picture.ndim)])
            picture = np.add.reduceat(picture, starts, axis=axis) / counts
    return picture


def fitting(height: int, width: int, side: int) -> tuple[int, int]:
    """The size of a picture whose longer side becomes `side` pixels; at least 1 for each side."""
    longest = max(height, width)
    return max(1, round(height * side / longest)), max(1, round(width * side / longest))


def tiles(maps: Array, *, side: int, gap: int, across: int, limit: float, frame: bool = True) -> Array:
    """Maps (h, w, n), or pictures (h, w, 3, n), as tiles on white: colours (H, W, 3), `across` in a row.

    The longer side of a tile has `side` pixels. A thin grey frame shows the edge of a tile that is white there.
    """
    count = maps.shape[-1]
    height, width = fitting(maps.shape[0], maps.shape[1], side)
    across = min(across, max(count, 1))
    rows = math.ceil(count / across)
    sheet = np.ones((rows * (height + gap) - gap, across * (width + gap) - gap, 3), np.float32)
    for index in range(count):
        row, column = divmod(index, across)
        top, left = row * (height + gap), column * (width + gap)
        tile = resized(maps[..., index], height, width)
        sheet[top : top + height, left : left + width] = tile if maps.ndim == 4 else coloured(tile, limit)
        if frame:
            _outline(sheet[top : top + height, left : left + width])
    return sheet


def _outline(tile: Array) -> None:
    for edge in (tile[0], tile[-1], tile[:, 0], tile[:, -1]):
        edge *= 0.85


def pasted(canvas: Array, picture: Array, top: int, left: int) -> None:
    """Puts a picture into a canvas, as far as there is room."""
    room = canvas[top : top + picture.shape[0], left : left + picture.shape[1]]
    room[:] = picture[: room.shape[0], : room.shape[1]]
