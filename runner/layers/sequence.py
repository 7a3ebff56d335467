"""Functions of a list of layers that are applied in turn: each passes the shape from layer to layer."""

from collections.abc import Iterable, Iterator
from typing import Any

import jax

from runner.graph import Graph
from runner.layers.base import FeatureMap, Layer, Shape, Survey, Tree
from runner.layers.passes import Located, Pass

Layers = tuple[Layer, ...]


def name(index: int, layer: Layer) -> str:
    """The key of a layer in the tree of parameters: `0_conv`, or `3_bottleneck` for a block."""
    return f"{index}_{layer.label}"


def every(layers: Iterable[Layer]) -> Iterator[Layer]:
    """The layers, and the layers inside them, to any depth."""
    for layer in layers:
        yield layer
        yield from every(layer.held())


def entries(layers: Layers, where: Located, *, first: int = 0) -> Iterator[tuple[Layer, Located]]:
    """Each layer of the list at `where` with its location; `first` is the number of the first layer in the tree."""
    for index, layer in enumerate(layers):
        own = name(first + index, layer)
        yield layer, Located(f"{where.place}[{index}].{layer.label}", f"{where.path}.{own}" if where.path else own)


def located(layers: Layers, where: Located, *, first: int = 0) -> Iterator[Located]:
    """The locations of the layers of the list at `where`, and of the layers inside them, in order."""
    for layer, here in entries(layers, where, first=first):
        yield from layer.located(here)


def output_shape(layers: Layers, shape: Shape) -> Shape:
    """The output shape for an input of `shape`. Raises Misfit."""
    for layer in layers:
        shape = layer.output_shape(shape)
    return shape


def parameters(layers: Layers, shape: Shape) -> Tree:
    """The parameters by the layers' names; the leaves are `Parameter`."""
    return _collected(layers, shape, "parameters")


def statistics(layers: Layers, shape: Shape) -> Tree:
    """The running statistics by the layers' names; the leaves are `Statistic`."""
    return _collected(layers, shape, "statistics")


def _collected(layers: Layers, shape: Shape, what: str) -> Tree:
    tree: dict[str, Any] = {}
    for index, layer in enumerate(layers):
        if own := getattr(layer, what)(shape):
            tree[name(index, layer)] = own
        shape = layer.output_shape(shape)
    return tree


def multiply_adds(layers: Layers, shape: Shape) -> int:
    """Multiply-adds for one image."""
    total = 0
    for layer in layers:
        total += layer.multiply_adds(shape)
        shape = layer.output_shape(shape)
    return total


def apply(
    layers: Layers, params: Tree, statistics: Tree, x: jax.Array, at: Pass, *, first: int = 0
) -> tuple[jax.Array, Tree]:
    """The output for a batch, and the statistics after it; `first` is the number of the first layer in the tree."""
    after = dict(statistics)
    for index, (layer, here) in enumerate(entries(layers, at.here, first=first), first):
        own, inside = name(index, layer), at.inside(here, index)
        try:
            with jax.named_scope(own):
                x, new = layer.apply(params.get(own, {}), statistics.get(own, {}), x, inside)
        except Exception as error:
            inside.note(error)
            raise
        x = inside.tapped(x)
        if new:
            after[own] = new
    return x, after


def nodes(layers: Layers, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
    """Adds the layers to an ONNX graph, each under its name; `values` has parameters and statistics by these names."""
    for index, layer in enumerate(layers):
        own = name(index, layer)
        x = layer.nodes(graph.inside(own), x, shape, values.get(own, {}))
        shape = layer.output_shape(shape)
    return x


def survey(layers: Layers, at: FeatureMap, where: Located, into: Survey, *, first: int = 0) -> FeatureMap:
    """Adds each layer's row or fault; `where` is the list, `first` the number of its first layer in the tree."""
    for layer, here in entries(layers, where, first=first):
        at = layer.survey(at, here, into)
    return at
