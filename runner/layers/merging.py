"""Layers with parallel paths that are merged: residual, branches, dense_connection, auxiliary."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, MinLen
from pydantic import Field

from runner.geometry import ReceptiveField
from runner.graph import Graph
from runner.layers import sequence
from runner.layers.base import Array, Layer, Misfit, Shape, Tree, shape_text
from runner.layers.composite import Composite, End, Straight, below
from runner.layers.passes import Pass
from runner.layers.sequence import Layers
from runner.records import TRACED

if TYPE_CHECKING:
    LayerList = tuple[Layer, ...]


class Residual(Composite):
    """The output of its layers plus the output of the shortcut, by default the input itself.

    Source: He, Zhang, Ren & Sun 2015, arXiv:1512.03385.
    """

    kind: ClassVar[str] = "residual"
    lists: ClassVar[tuple[str, ...]] = ("layers", "shortcut")

    layers: Annotated["LayerList", MinLen(1)] = Field(
        examples=[["relu"]], description="The layers whose output is added."
    )
    shortcut: "LayerList" = Field((), description="The layers of the shortcut; none: the input itself.")

    @property
    def joint(self) -> str:
        return "+"

    def routes(self) -> tuple[tuple[str, Layers], ...]:
        return (("layers", self.layers), ("shortcut", self.shortcut))

    def merged_shape(self, shape: Shape, ends: tuple[Shape, ...]) -> Shape:
        made, passed = ends
        if made != passed:
            beside = "its shortcut" if self.shortcut else "its input, the shortcut"
            rule = f"end in the shape of {beside}, {shape_text(passed)}"
            raise Misfit("layers", rule, shape_text(made), otherwise=made)
        return made

    def joined(self, x: jax.Array, ends: tuple[jax.Array, ...]) -> jax.Array:
        return ends[0] + ends[1]

    def joined_nodes(self, graph: Graph, x: str, ends: tuple[str, ...], shape: Shape) -> str:
        return graph.node("Add", *ends)


class Branches(Composite):
    """Several parallel paths, whose outputs are merged.

    Source: Szegedy et al. 2014, arXiv:1409.4842; `multiply` is the gate of Hu et al. 2017, arXiv:1709.01507, in
    which a flat path multiplies every position.
    """

    kind: ClassVar[str] = "branches"
    lists: ClassVar[tuple[str, ...]] = ()
    list_groups: ClassVar[tuple[str, ...]] = ("paths",)

    merge: Literal["concat", "add", "multiply"] = Field(
        "concat", description="How outputs are merged: channels are concatenated, or values are added or multiplied."
    )
    paths: Annotated[tuple["LayerList", ...], MinLen(2)] = Field(
        examples=[[["relu"], ["tanh"]]],
        description="The paths, each a list of layers; the output of an empty path is its input.",
    )

    @property
    def joint(self) -> str:
        return {"concat": "concat", "add": "+", "multiply": "×"}[self.merge]

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
            got = ", ".join(shape_text(end) for end in ends)
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

    def joined_nodes(self, graph: Graph, x: str, ends: tuple[str, ...], shape: Shape) -> str:
        if self.merge == "concat":
            return graph.node("Concat", *ends, axis=1)
        ranks = [len(sequence.output_shape(layers, shape)) for _, layers in self.routes()]
        total = ""
        for end, rank in zip(ends, ranks, strict=True):
            added = list(range(rank + 1, max(ranks) + 1))  # the axes that a flat path lacks
            alike = graph.node("Unsqueeze", end, graph.constant(added)) if added else end
            total = graph.node("Add" if self.merge == "add" else "Mul", total, alike) if total else alike
        return total


class DenseConnection(Composite):
    """The input, with the channels of the layers' output after its own.

    Source: Huang, Liu, van der Maaten & Weinberger 2016, arXiv:1608.06993.
    """

    kind: ClassVar[str] = "dense_connection"
    takes_input: ClassVar[bool] = True

    layers: Annotated["LayerList", MinLen(1)] = Field(
        examples=[["relu"]], description="The layers whose output channels follow those of the input."
    )

    @property
    def joint(self) -> str:
        return "concat"

    def routes(self) -> tuple[tuple[str, Layers], ...]:
        return (("layers", self.layers),)

    def merged_shape(self, shape: Shape, ends: tuple[Shape, ...]) -> Shape:
        (made,) = ends
        if made[:-1] != shape[:-1]:
            rule = f"keep the height and width of their input, {shape_text(shape)}"
            raise Misfit("layers", rule, shape_text(made), otherwise=made)
        return (*shape[:-1], shape[-1] + made[-1])

    def merged_fields(
        self, at: tuple[ReceptiveField, ...], ends: tuple[tuple[ReceptiveField, ...], ...]
    ) -> tuple[ReceptiveField, ...]:
        return super().merged_fields(at, (at, *ends))  # the input itself is concatenated too

    def merged_vocabulary(self, at: int | None, ends: tuple[int | None, ...], shape: Shape) -> int | None:
        return super().merged_vocabulary(at, (at, *ends), shape)

    def merged_order(self, shape: Shape, order: Array | None, ends: Sequence[End]) -> Array | None:
        return _one_after_another([(shape, order), *ends])

    def joined(self, x: jax.Array, ends: tuple[jax.Array, ...]) -> jax.Array:
        return jnp.concatenate((x, ends[0]), axis=-1)

    def joined_nodes(self, graph: Graph, x: str, ends: tuple[str, ...], shape: Shape) -> str:
        return graph.node("Concat", x, ends[0], axis=1)


class Auxiliary(Composite):
    """A side head: in training its outputs have their own loss; the output is the input, unchanged.

    Source: Szegedy et al. 2014, arXiv:1409.4842, §5.
    """

    kind: ClassVar[str] = "auxiliary"
    takes_input: ClassVar[bool] = True

    layers: Annotated["LayerList", MinLen(1)] = Field(
        examples=[["flatten", "classifier"]], description="The layers of the head; the last must be classifier."
    )
    weight: Annotated[float, Ge(0), TRACED] = Field(0.3, description="Factor of its loss.")

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

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        if not at.training:
            return x, statistics
        # A head has one path, whose layers split the head's own key.
        inside = dataclasses.replace(at, here=below(at.here, "layers"))
        own, before = params.get("layers", {}), statistics.get("layers", {})
        outputs, after = sequence.apply(self.layers, own, before, x, inside)
        at.side_outputs[at.here.path] = (outputs, self.weight)
        return x, {"layers": after} if after else {}

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return x


def _one_after_another(ends: Sequence[End]) -> Array | None:
    """The feature order of concatenated paths."""
    if all(order is None for _, order in ends):
        return None
    starts = np.cumsum([0, *(shape[0] for shape, _ in ends)])
    parts = [np.arange(*shape) if order is None else order for shape, order in ends]
    return np.concatenate([start + part for start, part in zip(starts, parts, strict=False)])


def _last(layers: Layers) -> Layer | None:
    """The last layer, also inside a block."""
    for layer in reversed(layers):
        if not isinstance(layer, Straight):
            return layer
        if found := _last(layer.routes()[0][1]):
            return found
    return None
