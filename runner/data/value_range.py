"""The values of black and white in inputs, per channel; augmentations scale inputs to this range.

    >>> value_range(np.array([[[[-1.0], [0.5]]]]))      # (n, h, w, c)
    (array([-1.]), array([0.5]))

Bytes are divided by 255, so black is 0 and white is 1. Floats may have any unit: 0 … 1, 0 … 255, −1 … 1, or
standardised, with a different black in each channel. `data.range` declares the range; without it, it is measured on the
training inputs.
"""

from typing import Any, NamedTuple

import jax
import numpy as np


class Range(NamedTuple):
    """The values of black and white: one for each channel, or one for all."""

    black: tuple[float, ...]
    white: tuple[float, ...]


UNIT = Range((0.0,), (1.0,))


def value_range(values: Any) -> tuple[Any, Any]:
    """Black and white (c,) of floats (n, …, c): 0 and 1 if all values lie between, else each channel's extremes.

    Accepts NumPy and JAX arrays, including tracers. The white of a constant channel is its value + 1.
    """
    axes = tuple(range(values.ndim - 1))
    return ends(values.min(axis=axes), values.max(axis=axes))


def ends(low: Any, high: Any) -> tuple[Any, Any]:
    """Black and white (c,) of floats with these minima and maxima (c,); see `value_range`."""
    fractions = (low.min() >= 0) & (high.max() <= 1)
    where = jax.numpy.where if isinstance(low, jax.Array) else np.where
    low = where(fractions, 0, low)
    high = where(fractions, 1, high)
    return low, where(high > low, high, low + 1)


def measured(inputs: Any) -> Range:
    """The range of training inputs, an array or streamed; 0 … 1 for bytes and tokens."""
    if inputs.dtype.kind != "f":
        return UNIT
    black, white = value_range(inputs) if isinstance(inputs, np.ndarray) else ends(*inputs.extremes)
    return Range(tuple(map(float, black)), tuple(map(float, white)))
