"""Lists of layers under one name: repeated lists, blocks, and lists chosen by a condition."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar

import jax
from annotated_types import Ge, Le
from pydantic import Field

from runner.layers import sequence
from runner.layers.base import FeatureMap, Layer, Survey, Tree
from runner.layers.composite import Straight, below
from runner.layers.passes import Located, Pass
from runner.layers.sequence import Layers

if TYPE_CHECKING:
    LayerList = tuple[Layer, ...]


class Repeat(Straight):
    """The same layers several times over, each time with parameters of their own."""

    kind: ClassVar[str] = "repeat"

    times: Annotated[int, Ge(0), Le(1000)] = Field(examples=[2], description="Number of copies; 0: none.")
    layers: "LayerList" = Field(examples=[["relu"]], description="The layers that are repeated.")

    def layer_count(self) -> int:
        # A copy of an empty list takes time too.
        return 1 + self.times * max(sum(layer.layer_count() for layer in self.layers), 1)

    def routes(self) -> tuple[tuple[str, Layers], ...]:
        return (("layers", self.layers * self.times),)

    def located(self, here: Located) -> Iterator[Located]:
        yield here
        for first in self._firsts():
            yield from sequence.located(self.layers, below(here, "layers"), first=first)

    def survey(self, at: FeatureMap, here: Located, into: Survey) -> FeatureMap:
        for first in self._firsts():
            at = sequence.survey(self.layers, at, below(here, "layers"), into, first=first)
        return at

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        inside = at.inside(below(at.here, "layers"), 0)
        own, after = params.get("layers", {}), statistics.get("layers", {})
        for first in self._firsts():
            x, after = sequence.apply(self.layers, own, after, x, inside, first=first)
        return x, {"layers": after} if after else {}

    def _firsts(self) -> Iterator[int]:
        """For each copy, the number of its first layer in the tree of parameters."""
        return (number * len(self.layers) for number in range(self.times))


class Block(Straight):
    """One use of a declared block: its layers, under its name. Created by `runner.blocks`."""

    kind: ClassVar[str] = "$block"

    name: str
    declared: str  # the path of the declaration: `model.blocks.bottleneck`, or `block.bottleneck` of the library
    layers: "LayerList"

    @property
    def label(self) -> str:
        return self.name

    def routes(self) -> tuple[tuple[str, Layers], ...]:
        return (("layers", self.layers),)


class When(Straight):
    """The list of a `when` that its condition chose; the other is empty. Created by `runner.blocks`."""

    kind: ClassVar[str] = "$when"
    lists: ClassVar[tuple[str, ...]] = ("layers", "otherwise")

    layers: "LayerList" = ()
    otherwise: "LayerList" = ()

    @property
    def label(self) -> str:
        return "when"

    def routes(self) -> tuple[tuple[str, Layers], ...]:
        return (("otherwise", self.otherwise),) if self.otherwise else (("layers", self.layers),)
