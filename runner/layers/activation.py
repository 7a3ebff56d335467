"""Activations: functions of each single value; softmax is a function of the channels at each position.

PReLU alone has parameters: the slopes of its negative side.
"""

from typing import Annotated, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from runner.graph import Graph
from runner.layers.base import Layer, Misfit, Parameter, Shape, Tree, along_channels
from runner.layers.initializers import InitializerField, initializer
from runner.layers.passes import Pass
from runner.records import TRACED


class _Activation(Layer):
    """A layer without parameters that applies one function."""

    def function(self, x: jax.Array) -> jax.Array:
        raise NotImplementedError(f"{type(self).__name__}.function")

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        return self.function(x), statistics


class Relu(_Activation):
    """max(x, 0). Source: Nair & Hinton 2010."""

    kind: ClassVar[str] = "relu"

    def function(self, x: jax.Array) -> jax.Array:
        return jax.nn.relu(x)

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return graph.node("Relu", x)


class Relu6(_Activation):
    """min(max(x, 0), 6). Source: Krizhevsky 2010, Convolutional Deep Belief Networks on CIFAR-10."""

    kind: ClassVar[str] = "relu6"

    def function(self, x: jax.Array) -> jax.Array:
        return jax.nn.relu6(x)

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return graph.node("Clip", x, graph.constant(0.0), graph.constant(6.0))


class Tanh(_Activation):
    """The hyperbolic tangent, into (−1, 1)."""

    kind: ClassVar[str] = "tanh"

    def function(self, x: jax.Array) -> jax.Array:
        return jnp.tanh(x)

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return graph.node("Tanh", x)


class ScaledTanh(_Activation):
    """1.7159 tanh(2x/3), which is near ±1 at ±1. Source: LeCun et al. 1998, doi:10.1109/5.726791, appendix A."""

    kind: ClassVar[str] = "scaled_tanh"

    def function(self, x: jax.Array) -> jax.Array:
        return jnp.asarray(1.7159, x.dtype) * jnp.tanh(jnp.asarray(2 / 3, x.dtype) * x)

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        y = graph.node("Tanh", graph.node("Mul", x, graph.constant(2 / 3)))
        return graph.node("Mul", y, graph.constant(1.7159))


class Scale(_Activation):
    """x times a number that is not learnt: before a softmax, the inverse of its temperature."""

    kind: ClassVar[str] = "scale"

    factor: Annotated[float, TRACED] = Field(1.0, description="Factor of every value.")

    def function(self, x: jax.Array) -> jax.Array:
        return x * jnp.asarray(self.factor, x.dtype)

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return graph.node("Mul", x, graph.constant(float(self.factor)))


class Sigmoid(_Activation):
    """1 / (1 + e⁻ˣ), into (0, 1)."""

    kind: ClassVar[str] = "sigmoid"

    def function(self, x: jax.Array) -> jax.Array:
        return jax.nn.sigmoid(x)

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return graph.node("Sigmoid", x)


class LeakyRelu(_Activation):
    """x where it is positive, a small multiple of it elsewhere. Source: Maas, Hannun & Ng 2013."""

    kind: ClassVar[str] = "leaky_relu"

    negative_slope: Annotated[float, TRACED] = Field(0.01, description="Factor of negative values.")

    def function(self, x: jax.Array) -> jax.Array:
        return jnp.where(x >= 0, x, x * jnp.asarray(self.negative_slope, x.dtype))

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return graph.node("LeakyRelu", x, alpha=float(self.negative_slope))


class Prelu(Layer):
    """x where it is positive, a learnt multiple of it elsewhere. Source: He, Zhang, Ren & Sun 2015, arXiv:1502.01852.

    Weight decay does not apply to the slopes, as in the paper.
    """

    kind: ClassVar[str] = "prelu"

    per_channel: bool = Field(False, description="Whether each channel has a slope of its own; false: one for all.")
    slope_init: InitializerField = Field(initializer("constant", value=0.25), description="Initialiser of the slopes.")

    def output_shape(self, shape: Shape) -> Shape:
        own = self._slopes(shape)
        if rule := self.slope_init.refuses(own):
            raise Misfit("slope_init", rule, own, otherwise=shape)
        return shape

    def parameters(self, shape: Shape) -> Tree:
        return {"slope": Parameter(self._slopes(shape), self.slope_init)}

    def _slopes(self, shape: Shape) -> Shape:
        return shape[-1:] if self.per_channel else (1,)

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        wide = x.astype(jnp.float32)  # the gradient of a slope is a sum over the batch
        y = jnp.where(wide > 0, wide, wide * along_channels(params["slope"], x.ndim))
        return y.astype(x.dtype), statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        slopes = np.reshape(values["slope"], (-1, *(1,) * (len(shape) - 1)))
        return graph.node("PRelu", x, graph.constant(slopes, "slope"))


class Elu(_Activation):
    """x where it is positive, α(eˣ − 1) elsewhere. Source: Clevert, Unterthiner & Hochreiter 2015, arXiv:1511.07289."""

    kind: ClassVar[str] = "elu"

    alpha: Annotated[float, TRACED] = Field(1.0, description="The output tends to −alpha for large negative inputs.")

    def function(self, x: jax.Array) -> jax.Array:
        return jax.nn.elu(x, jnp.asarray(self.alpha, x.dtype))

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return graph.node("Elu", x, alpha=float(self.alpha))


class Gelu(_Activation):
    """x Φ(x), Φ the normal distribution. Source: Hendrycks & Gimpel 2016, arXiv:1606.08415."""

    kind: ClassVar[str] = "gelu"

    approximate: bool = Field(False, description="Whether the error function is approximated by tanh.")

    def function(self, x: jax.Array) -> jax.Array:
        return jax.nn.gelu(x, approximate=self.approximate)

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return graph.node("Gelu", x, approximate="tanh" if self.approximate else "none")


class Silu(_Activation):
    """x times its sigmoid, also called swish. Source: Elfwing, Uchibe & Doya 2017, arXiv:1702.03118."""

    kind: ClassVar[str] = "silu"

    def function(self, x: jax.Array) -> jax.Array:
        return jax.nn.silu(x)

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return graph.node("Mul", x, graph.node("Sigmoid", x))


class HardSwish(_Activation):
    """x min(max(x + 3, 0), 6) / 6, near x times its sigmoid. Source: Howard et al. 2019, arXiv:1905.02244."""

    kind: ClassVar[str] = "hard_swish"

    def function(self, x: jax.Array) -> jax.Array:
        return jax.nn.hard_swish(x)

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return graph.node("HardSwish", x)


class Mish(_Activation):
    """x tanh(ln(1 + eˣ)). Source: Misra 2019, arXiv:1908.08681."""

    kind: ClassVar[str] = "mish"

    def function(self, x: jax.Array) -> jax.Array:
        return jax.nn.mish(x)

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return graph.node("Mish", x)


class Softmax(_Activation):
    """Positive values that sum to one over the channels."""

    kind: ClassVar[str] = "softmax"

    def output_shape(self, shape: Shape) -> Shape:
        if shape[-1] == 1:  # every output would be 1
            raise Misfit("", "have at least 2 channels", 1, otherwise=shape)
        return shape

    def function(self, x: jax.Array) -> jax.Array:
        # In float32, because it and its gradient contain a sum over the channels.
        return jax.nn.softmax(x.astype(jnp.float32), axis=-1).astype(x.dtype)

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return graph.node("Softmax", x, axis=1)
