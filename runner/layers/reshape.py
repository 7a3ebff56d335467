"""Layers that rearrange values without changing them."""

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge
from pydantic import Field

from runner.geometry import ReceptiveField, Window
from runner.graph import Graph
from runner.layers.base import Array, FeatureMap, Layer, Misfit, Shape, Tree, whole
from runner.layers.passes import Pass
from runner.layers.window import Pixels, check_period, each_axis


class Flatten(Layer):
    """Every value of a feature map in one row, channels fastest: `(n, h, w, c)` → `(n, h·w·c)`."""

    kind: ClassVar[str] = "flatten"

    def windows(self, shape: Shape) -> tuple[Window, ...]:
        return whole(shape)

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def feature_order(self, shape: Shape, order: Array | None) -> Array | None:
        if len(shape) == 1:
            return order
        channels_first = np.arange(np.prod(shape)).reshape(shape[-1], *shape[:-1])
        return np.moveaxis(channels_first, 0, -1).ravel()

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        return x.reshape(x.shape[0], -1), statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        if len(shape) == 1:
            return x
        last = graph.node("Transpose", x, perm=[0, *range(2, len(shape) + 1), 1])
        return graph.node("Flatten", last, axis=1)


class PadChannels(Layer):
    """Adds channels of zeros after the existing ones: `(n, h, w, c)` → `(n, h, w, channels)`.

    The shortcut without parameters of He, Zhang, Ren & Sun 2015, arXiv:1512.03385, §4.2 (option A).
    """

    kind: ClassVar[str] = "pad_channels"

    channels: Annotated[int, Ge(1)] = Field(examples=[16], description="Number of output channels.")

    def output_shape(self, shape: Shape) -> Shape:
        padded = (*shape[:-1], self.channels)
        if self.channels < shape[-1]:
            raise Misfit("channels", f"be ≥ {shape[-1]}, the channels of the input", self.channels, otherwise=padded)
        return padded

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        return jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((0, self.channels - x.shape[-1]),)), statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        if self.channels == shape[-1]:
            return x
        added = [0, self.channels - shape[-1], *(0,) * (len(shape) - 1)]
        return graph.node("Pad", x, graph.constant([*(0,) * len(added), *added]), graph.constant(0.0))


class Upsample(Layer):
    """Every pixel several times over: `(n, h, w, c)` → `(n, size·h, size·w, c)`, for networks in the shape of a U.

    Source: Long, Shelhamer & Darrell 2014, arXiv:1411.4038 (there learnt); nearest neighbour, as it avoids checkerboard
    patterns (Odena, Dumoulin & Olah 2016, doi:10.23915/distill.00003).
    """

    kind: ClassVar[str] = "upsample"

    size: Pixels = Field(2, description="Number of copies of each pixel along each axis: n, or [h, w].")

    def _factors(self, shape: Shape) -> tuple[int, ...]:
        return each_axis(shape, "size", self.size, otherwise=shape)

    def output_shape(self, shape: Shape) -> Shape:
        factors = self._factors(shape)
        return (*(factor * length for factor, length in zip(factors, shape, strict=False)), shape[-1])

    def accept(self, at: FeatureMap, output: Shape) -> None:
        super().accept(at, output)
        period = max(field.period * factor for field, factor in self._along(at))
        check_period("size", self.size, period, otherwise=at.shape)

    def output_fields(self, at: FeatureMap) -> tuple[ReceptiveField, ...]:
        return tuple(field.upsampled(factor) for field, factor in self._along(at))

    def _along(self, at: FeatureMap) -> Iterator[tuple[ReceptiveField, int]]:
        """The field and the factor along each axis."""
        return zip(at.fields, self._factors(at.shape), strict=True)

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        y = x.astype(jnp.float32)  # so that the gradients of a pixel's copies are summed in float32
        for axis, factor in enumerate(self._factors(x.shape[1:]), 1):
            y = jnp.repeat(y, factor, axis=axis)
        return y.astype(x.dtype), statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        scales = graph.constant([1.0, 1.0, *map(float, self._factors(shape))])
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return graph.node("Resize", x, "", scales, **how)
