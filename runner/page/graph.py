"""A network as a list of nodes, each after its inputs, as the page computes it: composite layers become joins.

A `repeat` and a block are their layers; a `residual` is an `add` of its two paths. Layers are as in evaluation: a side
head is left out, so that its node returns its input.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from runner.geometry import Window
from runner.layers import places, sequence
from runner.layers.base import Layer, Shape, Tree
from runner.layers.composite import Composite, Straight, below
from runner.layers.listed import Repeat
from runner.layers.merging import Auxiliary, Branches, DenseConnection, Residual
from runner.layers.passes import TOP, Located
from runner.layers.pool import AvgPool
from runner.layers.sequence import Layers
from runner.layers.transposed import ConvTranspose
from runner.network import Network

Array = np.ndarray[Any, Any]

RUNS_IN_BROWSER: Final = frozenset(
    {
        *(
            "conv",
            "conv_transpose",
            "partial_conv",
            "dense",
            "classifier",
            "embedding",
            "flatten",
            "upsample",
            "pad_channels",
        ),
        *("max_pool", "avg_pool", "sum_pool", "subsampling", "global_avg_pool", "global_max_pool", "position_bias"),
        *("adaptive_avg_pool", "adaptive_max_pool"),
        *("batch_norm", "layer_norm", "group_norm", "instance_norm", "local_response_norm"),
        *("dropout", "spatial_dropout", "stochastic_depth", "softmax", "scale"),
        *("relu", "relu6", "leaky_relu", "prelu", "elu", "gelu", "silu", "hard_swish", "mish"),
        *("tanh", "scaled_tanh", "sigmoid"),
        *("residual", "branches", "dense_connection", "auxiliary", "repeat", "$block", "$when"),
    }
)
"""The kinds of layer that the page computes. It shows recorded values of a network with any other kind."""

_SLIDING: Final = frozenset({"conv", "partial_conv", "max_pool", "avg_pool", "sum_pool", "subsampling"})


@dataclass
class Node:
    """A value of the network: a layer's output, the input, or a join of paths.

    `paths` are the layers whose output it is: a block's output is that of its last layer. `inputs` are the numbers of
    earlier nodes.
    """

    kind: str
    place: str
    paths: list[str]
    shape: Shape
    inputs: list[int]
    windows: list[tuple[int, ...]] = field(default_factory=list)  # size, stride, dilation, low, high along each axis
    args: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Array] = field(default_factory=dict)
    multiply_adds: int = 0


def nodes_of(network: Network, params: Tree, statistics: Tree) -> list[Node]:
    """The nodes of a network with its values; the first is the input, the last the output."""
    return nodes_with(network, places.dotted(params) | places.dotted(statistics))


def nodes_with(network: Network, values: Mapping[str, Any]) -> list[Node]:
    """The nodes of a network with its values by their dotted paths."""
    made = _Nodes(values, [Node("input", "", [""], network.input_shape, [])])
    made.chain(network.layers, TOP, 0)
    return made.nodes


def kinds_of(network: Network) -> set[str]:
    """The kinds of layer in a network, also inside others."""
    return {layer.kind for layer in sequence.every(network.layers)}


@dataclass
class _Nodes:
    values: Mapping[str, Any]
    nodes: list[Node]

    def chain(self, layers: Layers, where: Located, at: int, *, first: int = 0) -> int:
        """Adds layers that follow one another, the first of them after node `at`. Returns the last node."""
        for layer, here in sequence.entries(layers, where, first=first):
            at = self._composite(layer, here, at) if isinstance(layer, Composite) else self._single(layer, here, at)
        return at

    def _single(self, layer: Layer, here: Located, at: int) -> int:
        shape = self.nodes[at].shape
        tensors = {
            name: np.asarray(self.values[f"{here.path}.{name}"], np.float32)
            for name in (*layer.parameters(shape), *layer.statistics(shape))
        }
        if isinstance(layer, AvgPool):
            tensors["counts"] = layer.pixel_counts(shape).astype(np.float32)
        windows = layer.windows(shape) if layer.kind in _SLIDING else ()
        args = _arguments(layer)
        if isinstance(layer, ConvTranspose):
            args["transposed"] = [_numbers(own.window) for own in layer.transposed(shape)]
        return self._add(
            Node(
                kind=layer.kind,
                place=here.place.removeprefix("model."),
                paths=[here.path],
                shape=layer.output_shape(shape),
                inputs=[at],
                windows=[_numbers(one) for one in windows],
                args=args,
                tensors=tensors,
                multiply_adds=layer.multiply_adds(shape),
            )
        )

    def _composite(self, layer: Composite, here: Located, at: int) -> int:
        if isinstance(layer, Auxiliary):
            place = here.place.removeprefix("model.")
            return self._add(Node(layer.kind, place, [here.path], self.nodes[at].shape, [at]))
        if isinstance(layer, Repeat):
            end = at
            for copy in range(layer.times):
                end = self.chain(layer.layers, below(here, "layers"), end, first=copy * len(layer.layers))
            return self._named(end, here)
        ends = [self.chain(layers, below(here, place), at) for place, layers in layer.routes()]
        if isinstance(layer, Straight):
            return self._named(ends[0], here)
        return self._join(layer, here, at, ends)

    def _join(self, layer: Composite, here: Located, at: int, ends: Sequence[int]) -> int:
        match layer:
            case Residual():
                kind, inputs = "add", list(ends)
            case Branches():
                kind, inputs = layer.merge, list(ends)
            case DenseConnection():
                kind, inputs = "concat", [at, *ends]
            case _:
                raise NotImplementedError(f"the page has no join for {layer.kind}")
        shape = layer.merged_shape(self.nodes[at].shape, tuple(self.nodes[end].shape for end in ends))
        return self._add(Node(kind, here.place.removeprefix("model."), [here.path], shape, inputs))

    def _named(self, at: int, here: Located) -> int:
        self.nodes[at].paths.append(here.path)
        return at

    def _add(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1


def _numbers(window: Window) -> tuple[int, ...]:
    return window.size, window.stride, window.dilation, window.low, window.high


def _arguments(layer: Layer) -> dict[str, Any]:
    """The arguments of a layer without its initialisers."""
    found = layer.model_dump()
    return {name: value for name, value in found.items() if not name.endswith("_init") and value is not None}


def flat_values(nodes: Sequence[Node]) -> tuple[Array, list[dict[str, tuple[int, Shape]]]]:
    """All tensors in one float32 array, and of each node the first value and the shape of its tensors."""
    tensors = list(itertools.chain.from_iterable(node.tensors.values() for node in nodes))
    first, where = 0, []
    for node in nodes:
        own: dict[str, tuple[int, Shape]] = {}
        for name, tensor in node.tensors.items():
            own[name] = (first, tensor.shape)
            first += math.prod(tensor.shape)
        where.append(own)
    flat = np.concatenate([tensor.ravel() for tensor in tensors]) if tensors else np.zeros(0, np.float32)
    return flat.astype("<f4"), where
