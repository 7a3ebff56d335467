"""The filters of image processing by their names, and filters written as numbers.

    >>> window("sharpen", (3, 3)).astype(int).tolist()
    [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]
    >>> window("gaussian_blur", (5,)) * 16
    array([1., 4., 6., 4., 1.])

A convolution computes a cross-correlation, so a filter is not turned around: `sobel_x` is positive where the image
becomes brighter to the right, `sobel_y` where it becomes brighter downwards.

- **Sizes.** `identity`, `box_blur` and `gaussian_blur` (binomial coefficients) exist in every size. The others, and
  written numbers, have one size. In a larger filter, zeros are around them, such that with `padding: same` the output
  is that of the filter without the zeros.
- **One axis.** `sobel_x` is then the difference of the two neighbours, and `laplacian`, `sharpen`, `identity` and the
  blurs are those of a line; `sobel_y` and `emboss` need two axes.
- **Channels.** Filter j is applied to input channel j, and is zero for the others. More filters than channels begin
  again with channel 0. Of fewer filters than channels, each takes the mean of the channels whose numbers are equal to
  its own modulo the number of filters: a single filter sees the mean of all channels.

Source: Gonzalez & Woods 2018, Digital Image Processing, §3.5 and §3.6; Sobel & Feldman 1968.
"""

import math
from typing import Any, Final

import numpy as np

from runner.errors import shown

Numbers = tuple[float, ...] | tuple[tuple[float, ...], ...]
"""A row of numbers, or rows of the same length."""

_ANY_SIZE: Final = ("identity", "box_blur", "gaussian_blur")
_OVER_TWO_AXES: Final[dict[str, Numbers]] = {
    "sobel_x": ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    "sobel_y": ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    "laplacian": ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
    "emboss": ((-2, -1, 0), (-1, 1, 1), (0, 1, 2)),
}
_OVER_ONE_AXIS: Final[dict[str, Numbers]] = {
    "sobel_x": (-1, 0, 1),
    "laplacian": (1, -2, 1),
    "sharpen": (-1, 3, -1),
}
NAMES: Final = (*_OVER_TWO_AXES, *_ANY_SIZE)


def values(of: str | Numbers, shape: tuple[int, ...]) -> np.ndarray:
    """A parameter of `shape`, from a known filter or from numbers; a kernel (*spatial, channels, filters): float64."""
    if len(shape) < 3:
        return np.asarray(of, float)
    *sizes, channels, filters = shape
    small = window(of, tuple(sizes)) if isinstance(of, str) else _centred(np.asarray(of, float), tuple(sizes))
    fewer = min(channels, filters)
    sees = np.equal.outer(np.arange(channels) % fewer, np.arange(filters) % fewer)  # (channels, filters)
    kernel: np.ndarray = small[..., None, None] * (sees / sees.sum(axis=0))
    return kernel


def window(name: str, sizes: tuple[int, ...]) -> np.ndarray:
    """The filter of this name for windows of these sizes, (h, w) or (w,): float64."""
    if name == "identity":
        return _centred(np.ones((1,) * len(sizes)), sizes)
    if name in _ANY_SIZE:
        lines = [np.ones(size) if name == "box_blur" else _binomial(size) for size in sizes]
        whole = lines[0] if len(lines) == 1 else np.outer(*lines)
        return np.asarray(whole / whole.sum())
    return _centred(np.asarray(_fixed(len(sizes))[name], float), sizes)


def refuses(of: str | Numbers, shape: tuple[int, ...]) -> str | None:
    """The rule that a parameter of `shape` breaks, if there is one."""
    sizes, name = shape[:-2], of if isinstance(of, str) else "its numbers"
    if isinstance(of, str):
        if len(shape) < 3:
            return f"have a window under {of}"
        if of in _ANY_SIZE:
            return None
        if of not in _fixed(len(sizes)):
            return f"have two spatial axes under {of}"
        own = np.shape(_fixed(len(sizes))[of])
    else:
        own = np.shape(of)
        if len(shape) < 3:
            return None if own == shape else f"have the shape of its numbers, {shown(own)}"
        if len(own) != len(sizes):
            return "have rows of numbers over two spatial axes, and one row over one axis"
    if all(size >= needed for size, needed in zip(sizes, own, strict=True)):
        return None
    return f"have a window of at least {'×'.join(map(str, own))} under {name}"


def written(value: tuple[Any, ...]) -> Numbers:
    """Numbers written in YAML: a row, or rows of the same length. Raises ValueError with the rule."""
    nested = any(isinstance(row, tuple) for row in value)
    rows = value if nested else (value,)
    lengths = {len(row) if isinstance(row, tuple) else 0 for row in rows}
    if len(lengths) != 1 or 0 in lengths or not all(is_number(number) for row in rows for number in row):
        raise ValueError(f"must be one row of numbers, or rows of the same length, got {shown(value)}")
    return tuple(tuple(map(float, row)) for row in rows) if nested else tuple(map(float, value))


def is_number(value: Any) -> bool:
    """Whether a value from YAML is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _centred(numbers: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Numbers in a window of zeros."""
    # `same` pads (size − 1) // 2 pixels before the first, so this value of a window is on the pixel itself.
    before = [(size - 1) // 2 - (own - 1) // 2 for size, own in zip(sizes, numbers.shape, strict=True)]
    after = [size - own - low for low, size, own in zip(before, sizes, numbers.shape, strict=True)]
    return np.pad(numbers, list(zip(before, after, strict=True)))


def _fixed(axes: int) -> dict[str, Numbers]:
    return _OVER_ONE_AXIS if axes == 1 else _OVER_TWO_AXES


def _binomial(size: int) -> np.ndarray:
    return np.array([math.comb(size - 1, place) for place in range(size)], float)
