"""Pooling: the maximum, mean or sum of each channel under a sliding window."""

import math
from typing import Annotated, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from pydantic import Field

from runner.geometry import Window
from runner.graph import Graph
from runner.layers import sliding
from runner.layers.base import Fallback, Layer, Misfit, Parameter, Shape, Tree, along_channels, shape_text, whole
from runner.layers.initializers import initializer
from runner.layers.passes import Pass
from runner.layers.window import PaddingField, PaddingMode, Pixels, output_spatial, pad, slide
from runner.ops.max_pool import max_pool


class _Pool(Layer):
    """The arguments of all poolings."""

    size: Pixels = Field(examples=[2], description="Size of the window in pixels: n, or [h, w].")
    stride: Annotated[Pixels | None, Fallback(1)] = Field(
        None, description="Step of the window in pixels; null: the size of the window."
    )
    padding: PaddingField = Field("valid", description="Pixels added around the input, as in conv.")
    padding_mode: PaddingMode = Field("zeros", description="The values of the added pixels.")
    dilation: Pixels = Field(1, description="Distance between neighbouring pixels of the window.")
    ceil_mode: Annotated[bool, Fallback(True)] = Field(
        False, description="Whether the last window may extend beyond the edge, so that no pixel is dropped."
    )

    def windows(self, shape: Shape) -> tuple[Window, ...]:
        return self._slide(shape, ceil_mode=self.ceil_mode)

    def _slide(self, shape: Shape, *, ceil_mode: bool, must_fit: bool = True) -> tuple[Window, ...]:
        return slide(
            shape,
            name="size",
            size=self.size,
            stride=self.size if self.stride is None else self.stride,
            dilation=self.dilation,
            padding=self.padding,
            padding_mode=self.padding_mode,
            ceil_mode=ceil_mode,
            must_fit=must_fit,
            otherwise=shape,
        )

    def output_shape(self, shape: Shape) -> Shape:
        return (*output_spatial(shape, self.windows(shape)), shape[-1])

    def _sums(self, x: jax.Array, windows: tuple[Window, ...]) -> jax.Array:
        """The sums under the window in float32, so that gradients are summed in float32 too."""
        reduced: jax.Array = lax.reduce_window(
            x.astype(jnp.float32),
            np.zeros((), np.float32),
            lax.add,
            window_dimensions=(1, *(window.size for window in windows), 1),
            window_strides=(1, *(window.stride for window in windows), 1),
            padding=((0, 0), *((window.low, window.high) for window in windows), (0, 0)),
            window_dilation=(1, *(window.dilation for window in windows), 1),
        )
        return reduced


class MaxPool(_Pool):
    """The largest value under the window. Zero padding never wins: it counts as −∞, as everywhere in the field."""

    kind: ClassVar[str] = "max_pool"

    def output_shape(self, shape: Shape) -> Shape:
        output = super().output_shape(shape)
        along = zip(shape, self.windows(shape), strict=False)
        if self.padding_mode == "zeros" and any(_misses_pixels(window, length) for length, window in along):
            # Its largest value would be −∞.
            raise Misfit("padding", "leave a pixel under every window", self.padding, otherwise=output)
        return output

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        padded, windows = pad(x, self.windows(x.shape[1:]), self.padding_mode)
        return max_pool(padded, windows), statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        windows = self.windows(shape)
        if self.padding_mode != "zeros" or any(max(window.low, window.high) >= window.size for window in windows):
            # Padding as wide as the window is refused as an attribute of the node.
            x, windows = sliding.padded(graph, x, windows, self.padding_mode, -math.inf)
        return graph.node("MaxPool", x, **sliding.slid(windows))


class SumPool(_Pool):
    """The sum of the values under the window."""

    kind: ClassVar[str] = "sum_pool"

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        padded, windows = pad(x, self.windows(x.shape[1:]), self.padding_mode)
        return self._sums(padded, windows).astype(x.dtype), statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return sliding.summed(graph, x, self.windows(shape), self.padding_mode)


class Subsampling(SumPool):
    """The sum under the window, times a learnt number, plus a learnt number: two for each channel.

    It begins as the mean. Source: LeCun, Bottou, Bengio & Haffner 1998, doi:10.1109/5.726791, §II.B.
    """

    kind: ClassVar[str] = "subsampling"

    def parameters(self, shape: Shape) -> Tree:
        area = math.prod(window.size for window in self.windows(shape))
        return {
            "scale": Parameter(shape[-1:], initializer("constant", value=1 / area)),
            "bias": Parameter(shape[-1:], initializer("zeros"), torch="bias"),
        }

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        padded, windows = pad(x, self.windows(x.shape[1:]), self.padding_mode)
        sums = self._sums(padded, windows)
        scale, bias = (along_channels(params[name], x.ndim) for name in ("scale", "bias"))
        return (sums * scale + bias).astype(x.dtype), statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        scale, bias = (
            graph.constant(np.reshape(values[name], (-1, *(1,) * (len(shape) - 1))), name) for name in ("scale", "bias")
        )
        return graph.node("Add", graph.node("Mul", super().nodes(graph, x, shape, values), scale), bias)


class AvgPool(_Pool):
    """The mean of the values under the window: of the pixels that are there, unless padding is to count."""

    kind: ClassVar[str] = "avg_pool"

    count_padding: bool = Field(False, description="Whether padded zeros count as pixels in the mean.")

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        padded, windows = pad(x, self.windows(x.shape[1:]), self.padding_mode)
        sums = self._sums(padded, windows)
        counts = jnp.asarray(self.pixel_counts(x.shape[1:]), jnp.float32)
        return (sums / counts.reshape(1, *counts.shape, 1)).astype(x.dtype), statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return sliding.summed(graph, x, self.windows(shape), self.padding_mode, 1 / self.pixel_counts(shape))

    def pixel_counts(self, shape: Shape) -> np.ndarray:
        """The number of pixels that each position covers, `(h', w')`: the product over the axes."""
        windows = self.windows(shape)
        # Positions that ceil_mode adds beyond the padding never count as pixels, even if a window fits only with them;
        # padding with other values than zeros counts.
        zeros = self.padding_mode == "zeros"
        padded = self._slide(shape, ceil_mode=False, must_fit=False) if zeros else windows
        counts = np.ones((), np.int64)
        for length, window, added in zip(shape, windows, padded, strict=False):
            counted = self.count_padding or self.padding_mode != "zeros"
            first, end = (-added.low, length + added.high) if counted else (0, length)
            covered = _covered(window, length, first, end)
            # A window entirely in the padding has mean 0, not 0 / 0.
            counts = np.multiply.outer(counts, np.maximum(covered, 1))
        return counts


def _covered(window: Window, length: int, first: int, end: int) -> np.ndarray:
    """How many taps of each position of `window` lie on `first` … `end` − 1 of an axis of `length` pixels."""
    starts = np.arange(window.output_size(length)) * window.stride - window.low
    lowest = np.maximum(-((starts - first) // window.dilation), 0)
    highest = np.minimum((end - 1 - starts) // window.dilation, window.size - 1)
    return np.asarray(np.maximum(highest - lowest + 1, 0))


def _misses_pixels(window: Window, length: int) -> bool:
    """Whether some position of `window` covers only padding of an axis of `length` pixels."""
    last_start = (window.output_size(length) - 1) * window.stride - window.low
    if window.low >= window.extent or last_start >= length:
        return True
    # The taps of a dilated window can also lie on both sides of a short axis.
    return length < window.dilation and not _covered(window, length, 0, length).all()


class _GlobalPool(Layer):
    """The base class of global poolings, which remove the spatial axes."""

    def windows(self, shape: Shape) -> tuple[Window, ...]:
        return whole(shape)

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) == 1:
            raise Misfit("", "have an input with spatial axes", shape_text(shape), otherwise=shape)
        return shape[-1:]


class GlobalAvgPool(_GlobalPool):
    """The mean of every channel. Source: Lin, Chen & Yan 2013, arXiv:1312.4400."""

    kind: ClassVar[str] = "global_avg_pool"

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        return jnp.mean(x, axis=tuple(range(1, x.ndim - 1))), statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return graph.node("Flatten", graph.node("GlobalAveragePool", x), axis=1)


class GlobalMaxPool(_GlobalPool):
    """The largest value of every channel."""

    kind: ClassVar[str] = "global_max_pool"

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        # In float32: the gradient is divided by the number of equal values, which is a sum.
        wide = x.astype(jnp.float32)
        return jnp.max(wide, axis=tuple(range(1, x.ndim - 1))).astype(x.dtype), statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return graph.node("Flatten", graph.node("GlobalMaxPool", x), axis=1)
