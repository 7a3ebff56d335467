"""Layers of the first convolutional networks: filters that see some of the channels, and biases per position.

Source: LeCun et al. 1989, doi:10.1162/neco.1989.1.4.541; LeCun, Bottou, Bengio & Haffner 1998, doi:10.1109/5.726791.
"""

import itertools
import math
from typing import Annotated, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, MinLen
from pydantic import Field

from runner.geometry import Window
from runner.graph import Graph
from runner.layers import sliding
from runner.layers.base import Fallback, Layer, Misfit, Parameter, Shape, Tree, biased
from runner.layers.initializers import InitializerField, initializer
from runner.layers.passes import Pass
from runner.layers.window import PaddingField, Pixels, output_spatial, slide
from runner.ops.conv import conv

Channels = Annotated[tuple[Annotated[int, Ge(0)], ...], MinLen(1)]


class PartialConv(Layer):
    """A convolution with a table: which channels each filter sees.

    `(n, h, w, c)` → `(n, h', w', filters)`. Only the weights that the table names exist: `(h, w, connections)`.
    """

    kind: ClassVar[str] = "partial_conv"
    convolves: ClassVar[bool] = True

    connections: tuple[Channels, ...] = Field(
        examples=[[[0, 1]]], description="For each filter, the input channels that it sees, counted from 0."
    )
    kernel_size: Pixels = Field(examples=[3], description="Size of every filter in pixels: n, or [h, w].")
    stride: Annotated[Pixels, Fallback(1)] = Field(1, description="Step of the window in pixels: n, or [h, w].")
    padding: PaddingField = Field("valid", description="Pixels of zeros added around the input, as in conv.")
    use_bias: bool = Field(True, description="Whether each filter adds a learnt bias.")
    bias_init: InitializerField = Field(initializer("zeros"), description="Initialiser of the biases.")

    def windows(self, shape: Shape) -> tuple[Window, ...]:
        return slide(
            shape,
            name="kernel_size",
            size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            otherwise=(*shape[:-1], len(self.connections)),
        )

    def output_shape(self, shape: Shape) -> Shape:
        output = (*output_spatial(shape, self.windows(shape)), len(self.connections))
        if not self.connections:
            raise Misfit("connections", "have at least 1 entry", self.connections, otherwise=shape)
        for number, seen in enumerate(self.connections):
            if max(seen) >= shape[-1] or len(set(seen)) < len(seen):
                rule = f"name channels of the input, 0 … {shape[-1] - 1}, each once"
                raise Misfit(f"connections[{number}]", rule, seen, otherwise=output)
        if refusal := self.bias_init.refuses(output[-1:]):
            raise Misfit("bias_init", refusal, output[-1:], otherwise=output)
        return output

    def parameters(self, shape: Shape) -> Tree:
        sizes = tuple(window.size for window in self.windows(shape))
        count = sum(map(len, self.connections))
        # The initialiser assumes one input channel; a filter sees count / filters channels on average.
        start = initializer("variance_scaling", scale=len(self.connections) / count, distribution="uniform")
        kernel = Parameter((*sizes, 1, count), start, decays=True, kernel=True)
        bias = {"bias": Parameter((len(self.connections),), self.bias_init, torch="bias")} if self.use_bias else {}
        return {"kernel": kernel} | bias

    def multiply_adds(self, shape: Shape) -> int:
        kernel: Parameter = self.parameters(shape)["kernel"]
        return math.prod(kernel.shape) * math.prod(self.output_shape(shape)[:-1])

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        y = conv(x, self._whole(params["kernel"], x.shape[-1]), self.windows(x.shape[1:]))
        if self.use_bias:
            y = biased(y, params["bias"])
        return y, statistics

    def _whole(self, weights: jax.Array, channels: int) -> jax.Array:
        """The kernel (h, w, channels, filters) of weights (h, w, 1, connections), with zeros elsewhere."""
        seen = np.asarray(list(itertools.chain.from_iterable(self.connections)))
        by = np.repeat(np.arange(len(self.connections)), [len(one) for one in self.connections])
        full = jnp.zeros((*weights.shape[:-2], channels, len(self.connections)), weights.dtype)
        return full.at[..., seen, by].set(weights[..., 0, :])

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        kernel = self._whole(jnp.asarray(values["kernel"]), shape[-1])
        return sliding.convolved(graph, x, self.windows(shape), kernel, values.get("bias"))


class PositionBias(Layer):
    """Adds a learnt number at every position of every channel; the bias of a convolution has one for each channel."""

    kind: ClassVar[str] = "position_bias"

    bias_init: InitializerField = Field(initializer("zeros"), description="Initialiser of the biases.")

    def output_shape(self, shape: Shape) -> Shape:
        if rule := self.bias_init.refuses(shape):
            raise Misfit("bias_init", rule, shape, otherwise=shape)
        return shape

    def parameters(self, shape: Shape) -> Tree:
        return {"bias": Parameter(shape, self.bias_init, torch="bias")}

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        return biased(x, params["bias"]), statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return graph.node("Add", x, graph.constant(np.moveaxis(np.asarray(values["bias"]), -1, 0), "bias"))
