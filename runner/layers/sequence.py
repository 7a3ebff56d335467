"""Layers one after another: every question to them is a fold over the shape."""

from collections.abc import Iterable, Iterator
from typing import Any

import jax

from runner.layers import places
from runner.layers.base import FeatureMap, Layer, Located, Shape, Survey, Tree

Layers = tuple[Layer, ...]

# Where a side head leaves its outputs in the statistics that a training pass returns.
SIDE_OUTPUT = "side_output"
# Stands among a layer's statistics where these stay as they are: the layer then works as in evaluation.
HELD = "held"


def name(index: int, layer: Layer) -> str:
    """What a layer's parameters are called in those of the whole: `0_conv`, or `3_bottleneck` for a block."""
    return f"{index}_{layer.label}"


def held(statistics: Tree, names: tuple[str, ...]) -> Tree:
    """Statistics for a training pass in which those of some layers, meant by `names`, stay as they are."""
    leaves = places.dotted(statistics)
    layers = {path.rpartition(".")[0] for path in leaves if places.chosen(names, path)}
    return places.nested(leaves | {f"{layer}.{HELD}": None for layer in layers}) if layers else statistics


def without_side_outputs(statistics: Tree) -> tuple[Tree, list[tuple[jax.Array, Any]]]:
    """Statistics as they are kept, and every side head's outputs (n, k) with the weight of its loss."""
    kept: Tree = {}
    found: list[tuple[jax.Array, Any]] = []
    for own, value in statistics.items():
        if own == SIDE_OUTPUT:
            found.append(value)
        elif own == HELD:
            continue
        elif isinstance(value, dict):
            inner, further = without_side_outputs(value)
            found.extend(further)
            if inner:
                kept[own] = inner
        else:
            kept[own] = value
    return kept, found


def every(layers: Iterable[Layer]) -> Iterator[Layer]:
    """The layers, and those that they hold, to any depth."""
    for layer in layers:
        yield layer
        yield from every(layer.held())


def entries(layers: Layers, where: Located, *, first: int = 0) -> Iterator[tuple[Layer, Located]]:
    """Each layer of the list at `where` with its own place; `first` is the number of the first layer in the tree."""
    for index, layer in enumerate(layers):
        own = name(first + index, layer)
        yield layer, Located(f"{where.place}[{index}].{layer.label}", f"{where.path}.{own}" if where.path else own)


def located(layers: Layers, where: Located, *, first: int = 0) -> Iterator[Located]:
    """The places of the layers of the list at `where`, and of those that they hold, in order."""
    for layer, here in entries(layers, where, first=first):
        yield from layer.located(here)


def output_shape(layers: Layers, shape: Shape) -> Shape:
    """The shape that comes of `shape`. Raises Misfit."""
    for layer in layers:
        shape = layer.output_shape(shape)
    return shape


def parameters(layers: Layers, shape: Shape) -> Tree:
    """What is learnt, by the layers' names; the leaves are `Parameter`."""
    return _collected(layers, shape, "parameters")


def statistics(layers: Layers, shape: Shape) -> Tree:
    """What is measured in training, by the layers' names; the leaves are `Statistic`."""
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
    layers: Layers, params: Tree, statistics: Tree, x: jax.Array, *, training: bool, key: jax.Array
) -> tuple[jax.Array, Tree]:
    """The output for a batch, and the statistics after it. Every layer has a key of its own."""
    after = dict(statistics)
    for index, layer in enumerate(layers):
        own = name(index, layer)
        before = statistics.get(own, {})
        with jax.named_scope(own):
            x, new = layer.apply(
                params.get(own, {}),
                before,
                x,
                training=training and HELD not in before,
                key=jax.random.fold_in(key, index),
            )
        if new:
            after[own] = new
    return x, after


def survey(layers: Layers, at: FeatureMap, where: Located, into: Survey, *, first: int = 0) -> FeatureMap:
    """Notes every layer's row or fault; `where` is the list, and `first` the number of its first layer in the tree."""
    for layer, here in entries(layers, where, first=first):
        at = layer.survey(at, here, into)
    return at
