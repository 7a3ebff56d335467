"""What a room says to an ONNX graph that is being written: one node after another. `runner.exporting` has the graph.

>>> halves: Nodes = lambda graph, x: graph.node("Mul", x, graph.constant(0.5))

Channels are the second axis of values in a graph, as ONNX has them: (n, c, h, w), (n, c, length), or flat (n, c).
Source of the operators: https://onnx.ai/onnx/operators/.
"""

from collections.abc import Callable
from typing import Any, Protocol, Self

from numpy.typing import ArrayLike


class Graph(Protocol):
    """A graph at one layer, whose path all names begin with."""

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node with one output. Returns the output's name. An input that is left out is an empty name."""
        ...

    def constant(self, values: ArrayLike, name: str = "") -> str:
        """Adds values, as float32, or int64 if they are whole numbers. Returns their name."""
        ...

    def inside(self, name: str) -> Self:
        """The same graph at a layer inside this layer."""
        ...


Nodes = Callable[[Graph, str], str]
"""Adds nodes for the value of this name. Returns the name of their output."""
