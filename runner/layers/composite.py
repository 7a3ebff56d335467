"""The base class of layers that contain layers: it evaluates each path and merges the results."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from runner.geometry import ReceptiveField, union
from runner.graph import Graph
from runner.layers import sequence
from runner.layers.base import Array, FeatureMap, Layer, Misfit, Precision, Row, Shape, Survey, Tree
from runner.layers.passes import Located, Pass
from runner.layers.sequence import Layers

End = tuple[Shape, Array | None]  # the shape and the feature order of a path's output


class Composite(Layer):
    """A layer that applies one or more paths of layers to its input, and merges their outputs."""

    lists: ClassVar[tuple[str, ...]] = ("layers",)
    takes_input: ClassVar[bool] = False  # whether the input itself goes on, beside what the paths make of it

    @property
    def joint(self) -> str:
        """The sign of how the paths join, for pictures; empty if nothing joins."""
        return ""

    def routes(self) -> tuple[tuple[str, Layers], ...]:
        """Each path by its place below this layer in the YAML (`layers`, `paths[0]`)."""
        raise NotImplementedError(f"{type(self).__name__}.routes")

    def merged_shape(self, shape: Shape, ends: tuple[Shape, ...]) -> Shape:
        """The output shape for an input of `shape` and the paths' output shapes. Raises Misfit if they do not agree."""
        raise NotImplementedError(f"{type(self).__name__}.merged_shape")

    def joined(self, x: jax.Array, ends: tuple[jax.Array, ...]) -> jax.Array:
        """The output, from the input and the paths' outputs."""
        raise NotImplementedError(f"{type(self).__name__}.joined")

    def merged_fields(
        self, at: tuple[ReceptiveField, ...], ends: tuple[tuple[ReceptiveField, ...], ...]
    ) -> tuple[ReceptiveField, ...]:
        """The receptive fields of the output: the union of those of the paths."""
        return tuple(union(fields) for fields in zip(*ends, strict=True))

    def merged_vocabulary(self, at: int | None, ends: tuple[int | None, ...], shape: Shape) -> int | None:
        """The vocabulary of the output, if it is tokens. Raises Misfit if tokens would be merged."""
        del at
        if any(end is not None for end in ends):
            rule = "have an embedding on every path, as the data are tokens"
            raise Misfit("", rule, "a path without", otherwise=shape)
        return None

    def held(self) -> Iterator[Layer]:
        for name in self.lists:
            yield from getattr(self, name)
        for name in self.list_groups:
            for layers in getattr(self, name):
                yield from layers

    def located(self, here: Located) -> Iterator[Located]:
        yield here
        for place, layers in self.routes():
            yield from sequence.located(layers, below(here, place))

    def changed(self, change: Callable[[Layer], Layer]) -> Self:
        """The same layer with `change` applied to every layer inside."""
        lists = {name: tuple(map(change, getattr(self, name))) for name in self.lists}
        groups = {name: tuple(tuple(map(change, one)) for one in getattr(self, name)) for name in self.list_groups}
        return self.model_copy(update=lists | groups)

    def bind(self, classes: int, vocabulary: int | None = None, precision: Precision = "float32") -> Self:
        return self.changed(lambda layer: layer.bind(classes, vocabulary, precision))

    def widened(self, factor: float) -> Self:
        return self.changed(lambda layer: layer.widened(factor))

    def merged_order(self, shape: Shape, order: Array | None, ends: Sequence[End]) -> Array | None:
        """`feature_order` of the output, from each path's shape and order. Raises Misfit if the paths disagree."""
        del shape, order
        orders = [np.arange(*end) if own is None else own for end, own in ends]
        if any(not np.array_equal(orders[0], other) for other in orders[1:]):
            raise Misfit("", "merge features in one order", "flattened ones and others", otherwise=ends[0][0])
        return ends[0][1]

    def output_shape(self, shape: Shape) -> Shape:
        ends = tuple(sequence.output_shape(layers, shape) for _, layers in self.routes())
        return self.merged_shape(shape, ends)

    def parameters(self, shape: Shape) -> Tree:
        return self._collected(shape, sequence.parameters)

    def statistics(self, shape: Shape) -> Tree:
        return self._collected(shape, sequence.statistics)

    def _collected(self, shape: Shape, of: Any) -> Tree:
        found = ((route_name(place), of(layers, shape)) for place, layers in self.routes())
        return {key: own for key, own in found if own}

    def multiply_adds(self, shape: Shape) -> int:
        return sum(sequence.multiply_adds(layers, shape) for _, layers in self.routes())

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        ends, after = [], dict(statistics)
        routes = self.routes()
        # The gradient of the input is a sum over the paths, in the type of `shared`: from three paths on in float32.
        shared = x.astype(jnp.float32) if len(routes) > 2 and x.dtype == jnp.bfloat16 else x
        for number, (place, layers) in enumerate(routes):
            own = route_name(place)
            end, new = sequence.apply(
                layers,
                params.get(own, {}),
                statistics.get(own, {}),
                shared.astype(x.dtype),
                at.inside(below(at.here, place), number),
            )
            ends.append(end)
            if new:
                after[own] = new
        return self.joined(x, tuple(ends)), after

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        ends = []
        for place, layers in self.routes():
            own = route_name(place)
            ends.append(sequence.nodes(layers, graph.inside(own), x, shape, values.get(own, {})))
        return self.joined_nodes(graph, x, tuple(ends), shape)

    def joined_nodes(self, graph: Graph, x: str, ends: tuple[str, ...], shape: Shape) -> str:
        """The nodes of `joined`, for an input of `shape`."""
        raise NotImplementedError(self.kind)

    def survey(self, at: FeatureMap, here: Located, into: Survey) -> FeatureMap:
        faults = len(into.faults)
        ends = [sequence.survey(layers, at, below(here, place), into) for place, layers in self.routes()]
        try:
            shape = self.merged_shape(at.shape, tuple(end.shape for end in ends))
            vocabulary = self.merged_vocabulary(at.vocabulary, tuple(end.vocabulary for end in ends), shape)
        except Misfit as misfit:
            if len(into.faults) == faults:  # otherwise it may be a consequence of a fault on a path
                into.misfit(here.place, misfit)
            return FeatureMap(misfit.otherwise, ends[0].fields)
        output = FeatureMap(shape, self.merged_fields(at.fields, tuple(end.fields for end in ends)), vocabulary)
        if len(ends) > 1 or output != ends[0]:
            into.rows.append(Row(here.place, self.kind, output, parameters=0, multiply_adds=0, located=here))
        return output


class Straight(Composite):
    """Layers one after another, whose output is that of the last."""

    def merged_shape(self, shape: Shape, ends: tuple[Shape, ...]) -> Shape:
        return ends[0]

    def merged_vocabulary(self, at: int | None, ends: tuple[int | None, ...], shape: Shape) -> int | None:
        return ends[0]

    def joined(self, x: jax.Array, ends: tuple[jax.Array, ...]) -> jax.Array:
        return ends[0]

    def joined_nodes(self, graph: Graph, x: str, ends: tuple[str, ...], shape: Shape) -> str:
        return ends[0]


def below(here: Located, place: str) -> Located:
    """The location of a path inside a layer."""
    return Located(f"{here.place}.{place}", f"{here.path}.{route_name(place)}")


def route_name(place: str) -> str:
    """The key of a path's parameters: `layers`, `shortcut`, or the number of a branch."""
    return place.removeprefix("paths[").removesuffix("]")
