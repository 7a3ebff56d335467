"""Converts images to the input of a network inside the compiled program: bytes to 0 … 1, size, normalisation.

    >>> images.shape     # uint8
    (2, 28, 28, 1)
    >>> fit(images, (32, 32), "resize").shape     # float32
    (2, 32, 32, 1)

Source of the resampling: "linear" with antialias of jax.image.resize; for enlarging it is plain bilinear interpolation.
"""

from functools import cache
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from runner.errors import ConfigError, must
from runner.graph import Graph

Fit = Literal["resize", "pad", "crop"]
"""resize scales to the size; pad centres the image on black; crop keeps the centre."""


def are_tokens(inputs: jax.Array | np.ndarray) -> bool:
    """Whether inputs are tokens, int32 (n, length, 1): indices of words, on which no arithmetic is done."""
    return bool(inputs.dtype == np.int32)


def fitted_shape(shape: tuple[int, ...], size: tuple[int, int], how: Fit) -> tuple[int, ...]:
    """The shape of an input (h, w, c) after `fit`; one-dimensional inputs (length, c) keep their shape.

    Raises ConfigError at `model.input` if the size is too small for `pad` or too large for `crop`.
    """
    if len(shape) != 3:
        return shape
    height, width, channels = shape
    room = (size[0] - height, size[1] - width)
    if (how == "pad" and min(room) < 0) or (how == "crop" and max(room) > 0):
        bound = "at least" if how == "pad" else "at most"
        rule = f"be {bound} {height}×{width}, the size of the images, for fit={how}"
        raise ConfigError(must("model.input", rule, f"{size[0]}×{size[1]}"))
    return *size, channels


def fit(images: jax.Array, size: tuple[int, int], how: Fit = "resize", *, black: ArrayLike = 0.0) -> jax.Array:
    """Images (n, h, w, c) as float32 (n, *size, c). Bytes are divided by 255; floats keep their unit.

    Padding has the value `black`, one for each channel or one for all. Inputs (n, length, c) keep their length, and
    tokens are returned unchanged.
    """
    if are_tokens(images):
        return images
    values = images.astype(jnp.float32)
    if images.dtype == jnp.uint8:
        values = values / 255
    target = fitted_shape(images.shape[1:], size, how)
    if target == images.shape[1:]:
        return values
    if how == "resize":
        return _resized(values, size)
    # An odd row or column is added or removed at the end, so that cropping undoes padding.
    top, left = (abs(after - before) // 2 for before, after in zip(images.shape[1:3], size, strict=True))
    if how == "crop":
        return values[:, top : top + size[0], left : left + size[1], :]
    below, right = (size[0] - images.shape[1] - top, size[1] - images.shape[2] - left)
    padding = ((top, below), (left, right))
    inside = np.pad(np.ones((*images.shape[1:3], 1), bool), (*padding, (0, 0)))
    fill = jnp.asarray(black, values.dtype).reshape(1, 1, 1, -1)
    return jnp.where(inside[None], jnp.pad(values, ((0, 0), *padding, (0, 0))), fill)


def fit_nodes(
    graph: Graph, x: str, shape: tuple[int, ...], size: tuple[int, int], how: Fit, *, black: ArrayLike = 0.0
) -> str:
    """Adds `fit` of images in their unit, float32 (n, c, h, w) of `shape` (h, w, c), to an ONNX graph."""
    if fitted_shape(shape, size, how) == shape:
        return x
    if how == "resize":
        if shape[0] != size[0]:
            x = graph.node("MatMul", graph.constant(_weights(shape[0], size[0]).T), x)
        return graph.node("MatMul", x, graph.constant(_weights(shape[1], size[1]))) if shape[1] != size[1] else x
    top, left = (abs(after - before) // 2 for before, after in zip(shape[:2], size, strict=True))
    if how == "crop":
        bounds = ([top, left], [top + size[0], left + size[1]], [2, 3])
        return graph.node("Slice", x, *map(graph.constant, bounds))
    below, right = size[0] - shape[0] - top, size[1] - shape[1] - left
    fill = graph.constant(np.reshape(np.asarray(black, np.float32), (1, -1, 1, 1)))
    pads = graph.constant([0, 0, top, left, 0, 0, below, right])
    # A node pads with one value for all channels, hence with zero, relative to black.
    padded = graph.node("Pad", graph.node("Sub", x, fill), pads, graph.constant(0.0))
    return graph.node("Add", padded, fill)


def normalise(images: jax.Array, mean: ArrayLike, std: ArrayLike) -> jax.Array:
    """(images − mean) / std, with a mean and a standard deviation per channel, (c,), over the last axis."""
    per_channel = (1,) * (images.ndim - 1) + (-1,)
    centre, spread = (jnp.asarray(value, images.dtype).reshape(per_channel) for value in (mean, std))
    return (images - centre) / spread


def _resized(values: jax.Array, size: tuple[int, int]) -> jax.Array:
    # One small matrix product per axis; the weights are constants of the program.
    n, h, w, c = values.shape
    exact = jax.lax.Precision.HIGHEST
    if h != size[0]:
        columns = values.reshape(n, h, w * c)
        values = jnp.einsum("hH,nhk->nHk", jnp.asarray(_weights(h, size[0])), columns, precision=exact)
    if w != size[1]:
        rows = values.reshape(n * size[0], w, c)
        values = jnp.einsum("kwc,wW->kWc", rows, jnp.asarray(_weights(w, size[1])), precision=exact)
    return values.reshape(n, *size, c)


@cache
def _weights(before: int, after: int) -> np.ndarray:
    """The weight of each old position in each new one along an axis, (before, after); columns sum to 1.

    The kernel is a triangle as wide as the coarser grid. Pixels are squares with their centres at ½.
    """
    ratio = before / after
    centres = (np.arange(after) + 0.5) * ratio - 0.5
    distance = np.abs(centres[None, :] - np.arange(before)[:, None]) / max(ratio, 1.0)
    triangle = np.maximum(0.0, 1.0 - distance)
    return np.asarray(triangle / triangle.sum(axis=0), np.float32)
