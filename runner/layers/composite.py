"""Layers that hold layers."""

from typing import TYPE_CHECKING, Annotated, ClassVar

import jax
from annotated_types import Ge, Le
from pydantic import Field

from runner.layers import sequence
from runner.layers.base import FeatureMap, Layer, Shape, Survey, Tree

if TYPE_CHECKING:
    LayerList = tuple[Layer, ...]


class Repeat(Layer):
    """The same layers several times over, each time with parameters of their own."""

    kind: ClassVar[str] = "repeat"

    times: Annotated[int, Ge(1), Le(1000)] = Field(description="How many times.")
    layers: "LayerList" = Field(description="What is repeated.")

    def _unrolled(self) -> tuple[Layer, ...]:
        return self.layers * self.times

    def bind(self, classes: int) -> "Repeat":
        return self.model_copy(update={"layers": tuple(layer.bind(classes) for layer in self.layers)})

    def output_shape(self, shape: Shape) -> Shape:
        return sequence.output_shape(self._unrolled(), shape)

    def parameters(self, shape: Shape) -> Tree:
        return sequence.parameters(self._unrolled(), shape)

    def statistics(self, shape: Shape) -> Tree:
        return sequence.statistics(self._unrolled(), shape)

    def multiply_adds(self, shape: Shape) -> int:
        return sequence.multiply_adds(self._unrolled(), shape)

    def apply(
        self, params: Tree, statistics: Tree, x: jax.Array, *, training: bool, key: jax.Array
    ) -> tuple[jax.Array, Tree]:
        return sequence.apply(self._unrolled(), params, statistics, x, training=training, key=key)

    def survey(self, at: FeatureMap, path: str, into: Survey) -> FeatureMap:
        for _ in range(self.times):
            at = sequence.survey(self.layers, at, f"{path}.{self.kind}.layers", into)
        return at
