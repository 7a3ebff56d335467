"""Layers that hold layers: every question goes down each path, and the answers are merged."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Le, MinLen
from pydantic import Field

from runner.geometry import ReceptiveField, union
from runner.layers import sequence
from runner.layers.base import Array, FeatureMap, Layer, Misfit, Precision, Row, Shape, Survey, Tree, by_product
from runner.layers.sequence import Layers
from runner.records import TRACED

if TYPE_CHECKING:
    LayerList = tuple[Layer, ...]

End = tuple[Shape, Array | None]  # the shape and the feature order of what comes of a path


class Composite(Layer):
    """A layer that sends its input down one or more paths of layers, and merges what comes of them."""

    lists: ClassVar[tuple[str, ...]] = ("layers",)

    def routes(self) -> tuple[tuple[str, Layers], ...]:
        """Each path by its place below this layer in the YAML (`layers`, `paths[0]`)."""
        raise NotImplementedError(f"{type(self).__name__}.routes")

    def merged_shape(self, shape: Shape, ends: tuple[Shape, ...]) -> Shape:
        """The shape that comes of the paths' ends, for an input of `shape`. Raises Misfit where they do not agree."""
        raise NotImplementedError(f"{type(self).__name__}.merged_shape")

    def joined(self, x: jax.Array, ends: tuple[jax.Array, ...]) -> jax.Array:
        """The output, of the input and what the paths made of it."""
        raise NotImplementedError(f"{type(self).__name__}.joined")

    def merged_fields(
        self, at: tuple[ReceptiveField, ...], ends: tuple[tuple[ReceptiveField, ...], ...]
    ) -> tuple[ReceptiveField, ...]:
        """What a position of the output sees, through whichever path."""
        return tuple(union(fields) for fields in zip(*ends, strict=True))

    def merged_vocabulary(self, at: int | None, ends: tuple[int | None, ...], shape: Shape) -> int | None:
        """How many tokens there are, if the output is tokens again. Raises Misfit where they would be merged."""
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

    def changed(self, change: Callable[[Layer], Layer]) -> "Composite":
        """The same layer with every layer that it holds changed."""
        lists = {name: tuple(map(change, getattr(self, name))) for name in self.lists}
        groups = {name: tuple(tuple(map(change, one)) for one in getattr(self, name)) for name in self.list_groups}
        return self.model_copy(update=lists | groups)

    def bind(self, classes: int, vocabulary: int | None = None, precision: Precision = "float32") -> "Composite":
        return self.changed(lambda layer: layer.bind(classes, vocabulary, precision))

    def widened(self, factor: float) -> "Composite":
        return self.changed(lambda layer: layer.widened(factor))

    def merged_order(self, shape: Shape, order: Array | None, ends: Sequence[End]) -> Array | None:
        """`feature_order` of the output, of each path's shape and order. Raises Misfit where the paths disagree."""
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

    def apply(
        self, params: Tree, statistics: Tree, x: jax.Array, *, training: bool, key: jax.Array
    ) -> tuple[jax.Array, Tree]:
        ends, after = [], dict(statistics)
        routes = self.routes()
        # What more than two paths see is given the sum of their gradients, which is added up in the type of `shared`.
        shared = x.astype(jnp.float32) if len(routes) > 2 and x.dtype == jnp.bfloat16 else x
        for number, (place, layers) in enumerate(routes):
            own = route_name(place)
            end, new = sequence.apply(
                layers,
                params.get(own, {}),
                statistics.get(own, {}),
                shared.astype(x.dtype),
                training=training,
                key=jax.random.fold_in(key, number),
            )
            ends.append(end)
            if new:
                after[own] = new
        return self.joined(x, tuple(ends)), after

    def survey(self, at: FeatureMap, path: str, into: Survey) -> FeatureMap:
        here = f"{path}.{self.label}"
        faults = len(into.faults)
        own = into.place
        ends = [
            sequence.survey(layers, at, f"{here}.{place}", into, within=(*own, route_name(place)))
            for place, layers in self.routes()
        ]
        try:
            shape = self.merged_shape(at.shape, tuple(end.shape for end in ends))
            vocabulary = self.merged_vocabulary(at.vocabulary, tuple(end.vocabulary for end in ends), shape)
        except Misfit as misfit:
            if len(into.faults) == faults:  # else it may only follow from what does not fit on a path
                into.misfit(here, misfit)
            return FeatureMap(misfit.otherwise, ends[0].fields)
        output = FeatureMap(shape, self.merged_fields(at.fields, tuple(end.fields for end in ends)), vocabulary)
        if len(ends) > 1 or output != ends[0]:
            into.rows.append(Row(here, self.kind, output, parameters=0, multiply_adds=0))
        return output


class _Straight(Composite):
    """Layers one after another, whose output is that of the last."""

    def merged_shape(self, shape: Shape, ends: tuple[Shape, ...]) -> Shape:
        return ends[0]

    def merged_vocabulary(self, at: int | None, ends: tuple[int | None, ...], shape: Shape) -> int | None:
        return ends[0]

    def joined(self, x: jax.Array, ends: tuple[jax.Array, ...]) -> jax.Array:
        return ends[0]


class Repeat(_Straight):
    """The same layers several times over, each time with parameters of their own."""

    kind: ClassVar[str] = "repeat"

    times: Annotated[int, Ge(0), Le(1000)] = Field(description="How many times; 0: not at all.")
    layers: "LayerList" = Field(description="What is repeated.")

    def layer_count(self) -> int:
        # A copy of nothing takes time too.
        return 1 + self.times * max(sum(layer.layer_count() for layer in self.layers), 1)

    def routes(self) -> tuple[tuple[str, Layers], ...]:
        return (("layers", self.layers * self.times),)

    def survey(self, at: FeatureMap, path: str, into: Survey) -> FeatureMap:
        within, count = (*into.place, "layers"), len(self.layers)
        for number in range(self.times):
            first = number * count
            at = sequence.survey(self.layers, at, f"{path}.{self.kind}.layers", into, within=within, first=first)
        return at


class Block(_Straight):
    """What the use of a declared block comes to: its layers, under its name. Written by `runner.blocks`."""

    kind: ClassVar[str] = "$block"

    name: str
    declared: str  # where: `model.blocks.bottleneck`, or `block.bottleneck` of the library
    layers: "LayerList"

    @property
    def label(self) -> str:
        return self.name

    def routes(self) -> tuple[tuple[str, Layers], ...]:
        return (("layers", self.layers),)


class When(_Straight):
    """The one of its two lists that a condition chose, where it stood. Written by `runner.blocks`."""

    kind: ClassVar[str] = "$when"
    lists: ClassVar[tuple[str, ...]] = ("layers", "otherwise")

    layers: "LayerList" = ()
    otherwise: "LayerList" = ()

    @property
    def label(self) -> str:
        return "when"

    def routes(self) -> tuple[tuple[str, Layers], ...]:
        return (("otherwise", self.otherwise),) if self.otherwise else (("layers", self.layers),)


class Residual(Composite):
    """What its layers make of the input, plus the input, or what the shortcut makes of it.

    Source: He, Zhang, Ren & Sun 2015, arXiv:1512.03385.
    """

    kind: ClassVar[str] = "residual"
    lists: ClassVar[tuple[str, ...]] = ("layers", "shortcut")

    layers: Annotated["LayerList", MinLen(1)] = Field(description="The layers whose output is added.")
    shortcut: "LayerList" = Field((), description="What the input passes through beside them; none: it stays as it is.")

    def routes(self) -> tuple[tuple[str, Layers], ...]:
        return (("layers", self.layers), ("shortcut", self.shortcut))

    def merged_shape(self, shape: Shape, ends: tuple[Shape, ...]) -> Shape:
        made, passed = ends
        if made != passed:
            beside = "its shortcut" if self.shortcut else "its input, the shortcut"
            rule = f"end in the shape of {beside}, {by_product(passed)}"
            raise Misfit("layers", rule, by_product(made), otherwise=made)
        return made

    def joined(self, x: jax.Array, ends: tuple[jax.Array, ...]) -> jax.Array:
        return ends[0] + ends[1]


class Branches(Composite):
    """Several paths side by side, whose outputs become one.

    Source: Szegedy et al. 2014, arXiv:1409.4842; `multiply` is the gate of Hu et al. 2017, arXiv:1709.01507, for
    which a flat path counts for every position.
    """

    kind: ClassVar[str] = "branches"
    lists: ClassVar[tuple[str, ...]] = ()
    list_groups: ClassVar[tuple[str, ...]] = ("paths",)

    merge: Literal["concat", "add", "multiply"] = Field(
        "concat", description="How: channels after channels, or values added or multiplied."
    )
    paths: Annotated[tuple["LayerList", ...], MinLen(2)] = Field(
        description="The paths, each a list of layers; an empty one passes its input on."
    )

    def routes(self) -> tuple[tuple[str, Layers], ...]:
        return tuple((f"paths[{number}]", layers) for number, layers in enumerate(self.paths))

    def merged_shape(self, shape: Shape, ends: tuple[Shape, ...]) -> Shape:
        largest = max(ends, key=len)
        agree = {
            "concat": all(end[:-1] == largest[:-1] for end in ends),
            "add": all(end == largest for end in ends),
            "multiply": all(end in (largest, largest[-1:]) for end in ends),
        }
        if not agree[self.merge]:
            what = "height and width" if self.merge == "concat" else "shape"
            got = ", ".join(by_product(end) for end in ends)
            raise Misfit("paths", f"end in one {what} to {self.merge}", got, otherwise=largest)
        return (*largest[:-1], sum(end[-1] for end in ends)) if self.merge == "concat" else largest

    def merged_order(self, shape: Shape, order: Array | None, ends: Sequence[End]) -> Array | None:
        return _one_after_another(ends) if self.merge == "concat" else super().merged_order(shape, order, ends)

    def joined(self, x: jax.Array, ends: tuple[jax.Array, ...]) -> jax.Array:
        if self.merge == "concat":
            return jnp.concatenate(ends, axis=-1)
        rank = max(end.ndim for end in ends)
        # In float32: several ends are added up, and the gradient of a flat end is a sum over the positions.
        wide = [end.astype(jnp.float32) for end in ends]
        alike = [end.reshape(end.shape[0], *(1,) * (rank - end.ndim), *end.shape[1:]) for end in wide]
        total = alike[0]
        for end in alike[1:]:
            total = total + end if self.merge == "add" else total * end
        return total.astype(x.dtype)


class DenseConnection(Composite):
    """The input, and after its channels those that the layers make of it.

    Source: Huang, Liu, van der Maaten & Weinberger 2016, arXiv:1608.06993.
    """

    kind: ClassVar[str] = "dense_connection"

    layers: Annotated["LayerList", MinLen(1)] = Field(description="The layers whose channels are added.")

    def routes(self) -> tuple[tuple[str, Layers], ...]:
        return (("layers", self.layers),)

    def merged_shape(self, shape: Shape, ends: tuple[Shape, ...]) -> Shape:
        (made,) = ends
        if made[:-1] != shape[:-1]:
            rule = f"keep the height and width of their input, {by_product(shape)}"
            raise Misfit("layers", rule, by_product(made), otherwise=made)
        return (*shape[:-1], shape[-1] + made[-1])

    def merged_fields(
        self, at: tuple[ReceptiveField, ...], ends: tuple[tuple[ReceptiveField, ...], ...]
    ) -> tuple[ReceptiveField, ...]:
        return super().merged_fields(at, (at, *ends))  # the input itself is one of what is joined

    def merged_vocabulary(self, at: int | None, ends: tuple[int | None, ...], shape: Shape) -> int | None:
        return super().merged_vocabulary(at, (at, *ends), shape)

    def merged_order(self, shape: Shape, order: Array | None, ends: Sequence[End]) -> Array | None:
        return _one_after_another([(shape, order), *ends])

    def joined(self, x: jax.Array, ends: tuple[jax.Array, ...]) -> jax.Array:
        return jnp.concatenate((x, ends[0]), axis=-1)


class Auxiliary(Composite):
    """A side head: in training its outputs have a loss of their own; the input passes on as it is.

    Source: Szegedy et al. 2014, arXiv:1409.4842, §5.
    """

    kind: ClassVar[str] = "auxiliary"

    layers: Annotated["LayerList", MinLen(1)] = Field(description="The head; it ends with classifier.")
    weight: Annotated[float, Ge(0), TRACED] = Field(0.3, description="What its loss is multiplied by.")

    def routes(self) -> tuple[tuple[str, Layers], ...]:
        return (("layers", self.layers),)

    def merged_shape(self, shape: Shape, ends: tuple[Shape, ...]) -> Shape:
        last = _last(self.layers)
        if last is None or last.kind != "classifier":
            raise Misfit("layers", "end with classifier", last.kind if last else "nothing", otherwise=shape)
        return shape

    def merged_fields(
        self, at: tuple[ReceptiveField, ...], ends: tuple[tuple[ReceptiveField, ...], ...]
    ) -> tuple[ReceptiveField, ...]:
        return at

    def merged_vocabulary(self, at: int | None, ends: tuple[int | None, ...], shape: Shape) -> int | None:
        return at

    def merged_order(self, shape: Shape, order: Array | None, ends: Sequence[End]) -> Array | None:
        return order

    def apply(
        self, params: Tree, statistics: Tree, x: jax.Array, *, training: bool, key: jax.Array
    ) -> tuple[jax.Array, Tree]:
        if not training:
            return x, statistics
        own, before = params.get("layers", {}), statistics.get("layers", {})
        outputs, after = sequence.apply(self.layers, own, before, x, training=True, key=key)
        # The outputs travel beside the statistics, from which training takes them out again.
        return x, ({"layers": after} if after else {}) | {sequence.SIDE_OUTPUT: (outputs, self.weight)}


def _one_after_another(ends: Sequence[End]) -> Array | None:
    """The order of features that stand one path after another."""
    if all(order is None for _, order in ends):
        return None
    starts = np.cumsum([0, *(shape[0] for shape, _ in ends)])
    parts = [np.arange(*shape) if order is None else order for shape, order in ends]
    return np.concatenate([start + part for start, part in zip(starts, parts, strict=False)])


def _last(layers: Layers) -> Layer | None:
    """The layer that comes last, be it in a block."""
    for layer in reversed(layers):
        if not isinstance(layer, _Straight):
            return layer
        if found := _last(layer.routes()[0][1]):
            return found
    return None


def route_name(place: str) -> str:
    """What a path's parameters are called: `layers`, `shortcut`, or the number of a branch."""
    return place.removeprefix("paths[").removesuffix("]")
