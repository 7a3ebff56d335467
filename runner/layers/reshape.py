"""Layers that rearrange values and change none."""

import math
from typing import ClassVar

import jax

from runner.geometry import Window
from runner.layers.base import Layer, Shape, Tree, whole


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
