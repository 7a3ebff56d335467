"""What stands for black and for white in inputs, per channel: the unit in which augmentations think.

    >>> value_range(np.array([[[[-1.0], [0.5]]]]))      # (n, h, w, c)
    (array([-1.]), array([0.5]))

Bytes are divided by 255, so their black is 0 and their white 1. Floats may be of any unit: fractions, 0 … 255,
−1 … 1, or standardised, where each channel has a black of its own. `data.range` declares theirs; without it this rule
measures it on the training inputs.
"""

from typing import Any, NamedTuple

import jax
import numpy as np


class Range(NamedTuple):
    """The values of black and of white: one for each channel, or one for all."""

    black: tuple[float, ...]
    white: tuple[float, ...]


UNIT = Range((0.0,), (1.0,))


def value_range(values: Any) -> tuple[Any, Any]:
    """Black and white (c,) of floats (n, …, c): 0 and 1 where all values lie between, else each channel's extremes.

    Takes arrays of NumPy and of JAX, tracers too. A constant channel is given a white of 1 above its value.
    """
    axes = tuple(range(values.ndim - 1))
    low, high = values.min(axis=axes), values.max(axis=axes)
    fractions = (low.min() >= 0) & (high.max() <= 1)
    where = jax.numpy.where if isinstance(values, jax.Array) else np.where
    low = where(fractions, 0, low)
    high = where(fractions, 1, high)
    return low, where(high > low, high, low + 1)


def measured(inputs: np.ndarray) -> Range:
    """The range of training inputs; bytes and tokens have that of bytes."""
    if inputs.dtype.kind != "f":
        return UNIT
    black, white = value_range(inputs)
    return Range(tuple(map(float, black)), tuple(map(float, white)))
