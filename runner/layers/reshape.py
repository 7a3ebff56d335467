"""Layers that rearrange values and change none."""

import math
from typing import Annotated, ClassVar

import jax
import jax.numpy as jnp
from annotated_types import Ge
from pydantic import Field

from runner.geometry import Window
from runner.layers.base import Layer, Misfit, Shape, Tree, whole


class Flatten(Layer):
    """Every value of a feature map in one row, channels fastest: `(n, h, w, c)` → `(n, h·w·c)`."""

    kind: ClassVar[str] = "flatten"

    def windows(self, shape: Shape) -> tuple[Window, ...]:
        return whole(shape)

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def apply(
        self, params: Tree, statistics: Tree, x: jax.Array, *, training: bool, key: jax.Array
    ) -> tuple[jax.Array, Tree]:
        return x.reshape(x.shape[0], -1), statistics


class PadChannels(Layer):
    """Channels of zeros after those that are there: `(n, h, w, c)` → `(n, h, w, channels)`.

    The shortcut without parameters of He, Zhang, Ren & Sun 2015, arXiv:1512.03385, §4.2 (option A).
    """

    kind: ClassVar[str] = "pad_channels"

    channels: Annotated[int, Ge(1)] = Field(description="How many channels there are then.")

    def output_shape(self, shape: Shape) -> Shape:
        padded = (*shape[:-1], self.channels)
        if self.channels < shape[-1]:
            raise Misfit("channels", f"be ≥ {shape[-1]}, the channels of the input", self.channels, otherwise=padded)
        return padded

    def apply(
        self, params: Tree, statistics: Tree, x: jax.Array, *, training: bool, key: jax.Array
    ) -> tuple[jax.Array, Tree]:
        return jnp.pad(x, ((0, 0),) * (x.ndim - 1) + ((0, self.channels - x.shape[-1]),)), statistics
