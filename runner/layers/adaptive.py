"""Adaptive pooling: a wanted size of the output instead of a size of the window, with PyTorch's bins."""

import math
from typing import Annotated, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from pydantic import Field

from runner import limits
from runner.geometry import ReceptiveField, Window, bins
from runner.graph import Graph
from runner.layers.base import Array, Fallback, FeatureMap, Layer, Shape, Tree
from runner.layers.passes import Pass
from runner.layers.window import Pixels, check_period, each_axis
from runner.ops.max_pool import max_pool


class _AdaptivePool(Layer):
    """Poolings over `size` bins of nearly equal size along each axis; neighbouring bins can share a pixel."""

    size: Annotated[Pixels, Fallback(limits.FIELD_PERIOD)] = Field(
        examples=[7], description="Size of the output in pixels: n, or [h, w]."
    )

    def counts(self, shape: Shape) -> Shape:
        """The number of bins along each spatial axis."""
        return each_axis(shape, "size", self.size, otherwise=shape)

    def output_shape(self, shape: Shape) -> Shape:
        return (*self.counts(shape), shape[-1])

    def windows(self, shape: Shape) -> tuple[Window, ...]:
        """The windows of equal bins; empty if they are not equal."""
        along = list(zip(shape, self.counts(shape), strict=False))
        equal = all(length % count == 0 for length, count in along)
        return tuple(Window(length // count, length // count) for length, count in along) if equal else ()

    def accept(self, at: FeatureMap, output: Shape) -> None:
        super().accept(at, output)
        along = zip(at.fields, at.shape, output, strict=False)
        periods = [field.period * (count // math.gcd(length, count)) for field, length, count in along if count > 1]
        check_period("size", self.size, max(periods, default=1), otherwise=output)

    def output_fields(self, at: FeatureMap) -> tuple[ReceptiveField, ...]:
        along = zip(at.fields, at.shape, self.counts(at.shape), strict=False)
        return tuple(field.binned(length, count) for field, length, count in along)


class AdaptiveAvgPool(_AdaptivePool):
    """The mean of every channel in each bin: an output of one size for inputs of any size.

    Source: He, Zhang, Ren & Sun 2014, arXiv:1406.4729, §2.2; the bins are PyTorch's.
    """

    kind: ClassVar[str] = "adaptive_avg_pool"

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        y = x.astype(jnp.float32)
        for axis, count in enumerate(self.counts(x.shape[1:]), 1):
            length = y.shape[axis]
            if length % count == 0:
                y = jnp.mean(y.reshape(*y.shape[:axis], count, -1, *y.shape[axis + 1 :]), axis=axis + 1)
            else:  # the bins are rectangles, so that the mean of a bin is a mean along each axis
                means = jnp.tensordot(_shares(length, count), y, ((1,), (axis,)), precision=lax.Precision.HIGHEST)
                y = jnp.moveaxis(means, 0, axis)
        return y.astype(x.dtype), statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        *above, last = (_shares(length, count) for length, count in zip(shape, self.counts(shape), strict=False))
        for shares in above:
            x = graph.node("MatMul", graph.constant(shares), x)
        return graph.node("MatMul", x, graph.constant(last.T))


class AdaptiveMaxPool(_AdaptivePool):
    """The largest value of every channel in each bin: an output of one size for inputs of any size.

    Source: He, Zhang, Ren & Sun 2014, arXiv:1406.4729, §2.2; the bins are PyTorch's.
    """

    kind: ClassVar[str] = "adaptive_max_pool"

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        if windows := self.windows(x.shape[1:]):
            return max_pool(x, windows), statistics
        y = x.astype(jnp.float32)  # the gradient of a pixel in two bins is a sum
        # The last axis first: the first of equal values then wins in row order, as in PyTorch.
        for axis, count in reversed(list(enumerate(self.counts(x.shape[1:]), 1))):
            split = jnp.take(y, _pixels(y.shape[axis], count), axis=axis, mode="clip")  # (…, count, pixels, …)
            winner = jnp.argmax(lax.stop_gradient(split), axis=axis + 1, keepdims=True)
            y = jnp.take_along_axis(split, winner, axis=axis + 1).squeeze(axis + 1)
        return y.astype(x.dtype), statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        for axis, (length, count) in enumerate(zip(shape, self.counts(shape), strict=False), 2):
            split = graph.node("Gather", x, graph.constant(_pixels(length, count)), axis=axis)
            x = graph.node("ReduceMax", split, graph.constant([axis + 1]), keepdims=0)
        return x


def _shares(length: int, count: int) -> Array:
    """The share of each pixel of an axis in the mean of each bin, `(count, length)`, float32."""
    shares = np.zeros((count, length), np.float32)
    for number, own in enumerate(bins(length, count)):
        shares[number, own.start : own.stop] = 1 / len(own)
    return shares


def _pixels(length: int, count: int) -> Array:
    """The pixels of each bin, `(count, pixels)`; smaller bins repeat their last one, which changes no maximum."""
    found = bins(length, count)
    widest = max(map(len, found))
    return np.array([[min(own.start + step, own.stop - 1) for step in range(widest)] for own in found])
