"""Normalisation over a batch, over the channels of a position, over groups of channels, and over neighbours."""

import math
from typing import Annotated, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Gt, Le
from jax import lax
from pydantic import Field

from runner import limits
from runner.graph import Graph
from runner.layers import places
from runner.layers.base import (
    Array,
    FeatureMap,
    Layer,
    Misfit,
    Parameter,
    Shape,
    Statistic,
    Survey,
    Tree,
    along_channels,
)
from runner.layers.initializers import initializer
from runner.layers.passes import Located, Pass
from runner.ops.moments import moments
from runner.records import TRACED

# With more taps, local response normalisation sums by a window reduction.
_MOST_SHIFTS = 64


def _scale_and_bias(channels: int, *, use_scale: bool, use_bias: bool) -> Tree:
    scale = {"scale": Parameter((channels,), initializer("ones"))} if use_scale else {}
    return scale | ({"bias": Parameter((channels,), initializer("zeros"), torch="bias")} if use_bias else {})


def _rescaled(params: Tree, x: jax.Array) -> jax.Array:
    if "scale" in params:
        x = x * along_channels(params["scale"], x.ndim)
    if "bias" in params:
        x = x + along_channels(params["bias"], x.ndim)
    return x


def _unmoved(order: Array | None, got: str, shape: Shape) -> Array | None:
    """The order of features, for a layer that takes several together. Raises Misfit if PyTorch has another one."""
    if order is None or np.array_equal(order, np.arange(len(order))):
        return order
    rule = "stand before flatten, as PyTorch has the flattened features in another order"
    raise Misfit("", rule, got, otherwise=shape)


class BatchNorm(Layer):
    """Every channel to mean 0 and variance 1: with batch statistics in training, with running ones in evaluation.

    Computed in float32. The running variance is the unbiased one, as PyTorch keeps it. Source: Ioffe & Szegedy 2015,
    arXiv:1502.03167.
    """

    kind: ClassVar[str] = "batch_norm"

    momentum: Annotated[float, Ge(0), Le(1), TRACED] = Field(
        0.9,
        description="Share of the running statistics that is kept at each step (PyTorch's momentum is 1 − this).",
    )
    epsilon: Annotated[float, Gt(0), TRACED] = Field(1e-5, description="Number added to the variance.")
    use_scale: bool = Field(True, description="Whether each channel is then multiplied by a learnt number.")
    use_bias: bool = Field(True, description="Whether a learnt number is then added to each channel.")

    def parameters(self, shape: Shape) -> Tree:
        return _scale_and_bias(shape[-1], use_scale=self.use_scale, use_bias=self.use_bias)

    def statistics(self, shape: Shape) -> Tree:
        mean = Statistic(shape[-1:], 0.0, torch="running_mean")
        return {"mean": mean, "variance": Statistic(shape[-1:], 1.0, torch="running_var")}

    def survey(self, at: FeatureMap, here: Located, into: Survey) -> FeatureMap:
        output, step = super().survey(at, here, into), into.step
        if step is None or step.images * math.prod(at.shape[:-1]) > 1 or self._is_held(here.path, step.freeze):
            return output
        # The mean of one value is the value itself, so every output would be the bias for any image.
        images = f"train.batch_size ({step.batch_size}) / train.accumulate ({step.accumulate})"
        rule = f"have at least 2 values per channel to normalise, from {images} images of 1 position"
        into.misfit(here.place, Misfit("", rule, 1, otherwise=output.shape))
        return output

    def _is_held(self, path: str, freeze: tuple[str, ...]) -> bool:
        """Whether the layer uses its running statistics in training too."""
        return any(places.chosen(freeze, f"{path}.{statistic}") for statistic in self.statistics((1,)))

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        wide = x.astype(jnp.float32)
        mean, variance = statistics["mean"], statistics["variance"]
        if at.training:
            rows = wide.reshape(-1, x.shape[-1])  # (n·h·w, c)
            mean, variance = moments(rows, x.dtype)
            statistics = self._updated(statistics, mean, variance, len(rows))
        # One factor and one shift: on a CPU twice as fast as subtracting, dividing, multiplying and adding.
        factor = lax.rsqrt(variance + jnp.asarray(self.epsilon, jnp.float32))
        factor = factor * params["scale"] if self.use_scale else factor
        shift = (params["bias"] if self.use_bias else jnp.zeros_like(mean)) - mean * factor
        y = wide * along_channels(factor, x.ndim) + along_channels(shift, x.ndim)
        return y.astype(x.dtype), statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        scale = values.get("scale", np.ones(shape[-1], np.float32))
        bias = values.get("bias", np.zeros(shape[-1], np.float32))
        named = {"scale": scale, "bias": bias, "mean": values["mean"], "variance": values["variance"]}
        inputs = [graph.constant(own, name) for name, own in named.items()]
        return graph.node("BatchNormalization", x, *inputs, epsilon=float(self.epsilon))

    def _updated(self, statistics: Tree, mean: jax.Array, variance: jax.Array, count: int) -> Tree:
        keep = jnp.asarray(self.momentum, jnp.float32)
        unbiased = variance * (count / max(count - 1, 1))
        return {
            "mean": keep * statistics["mean"] + (1 - keep) * lax.stop_gradient(mean),
            "variance": keep * statistics["variance"] + (1 - keep) * lax.stop_gradient(unbiased),
        }


class LayerNorm(Layer):
    """The channels of every position to mean 0 and variance 1. Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450."""

    kind: ClassVar[str] = "layer_norm"

    epsilon: Annotated[float, Gt(0), TRACED] = Field(1e-5, description="Number added to the variance.")
    use_scale: bool = Field(True, description="Whether each channel is then multiplied by a learnt number.")
    use_bias: bool = Field(True, description="Whether a learnt number is then added to each channel.")

    def parameters(self, shape: Shape) -> Tree:
        return _scale_and_bias(shape[-1], use_scale=self.use_scale, use_bias=self.use_bias)

    def output_shape(self, shape: Shape) -> Shape:
        if shape[-1] == 1:  # the mean of one value is the value, so every output would be the bias
            raise Misfit("", "have at least 2 channels to normalise", 1, otherwise=shape)
        return shape

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        wide = x.astype(jnp.float32)
        centred = wide - jnp.mean(wide, axis=-1, keepdims=True)
        variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
        y = centred * lax.rsqrt(variance + jnp.asarray(self.epsilon, jnp.float32))
        return _rescaled(params, y).astype(x.dtype), statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        scale = graph.constant(values.get("scale", np.ones(shape[-1], np.float32)), "scale")
        biases = (graph.constant(values["bias"], "bias"),) if self.use_bias else ()
        rank = len(shape) + 1
        last = graph.node("Transpose", x, perm=[0, *range(2, rank), 1])
        y = graph.node("LayerNormalization", last, scale, *biases, axis=-1, epsilon=float(self.epsilon))
        return graph.node("Transpose", y, perm=[0, rank - 1, *range(1, rank - 1)])


class _OfImages(Layer):
    """Groups of channels of every image to mean 0 and variance 1, over all positions. Computed in float32."""

    epsilon: Annotated[float, Gt(0), TRACED] = Field(1e-5, description="Number added to the variance.")
    use_scale: bool = Field(True, description="Whether each channel is then multiplied by a learnt number.")
    use_bias: bool = Field(True, description="Whether a learnt number is then added to each channel.")

    def group_count(self, channels: int) -> int:
        """The number of groups that the channels are split into."""
        raise NotImplementedError(f"{type(self).__name__}.group_count")

    def parameters(self, shape: Shape) -> Tree:
        return _scale_and_bias(shape[-1], use_scale=self.use_scale, use_bias=self.use_bias)

    def output_shape(self, shape: Shape) -> Shape:
        if math.prod(shape) == self.group_count(shape[-1]):  # the mean of one value is the value itself
            raise Misfit("", "have at least 2 values per group to normalise", 1, otherwise=shape)
        return shape

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        groups = self.group_count(x.shape[-1])
        split = x.astype(jnp.float32).reshape(x.shape[0], -1, groups, x.shape[-1] // groups)  # (n, h·w, g, c / g)
        centred = split - jnp.mean(split, axis=(1, 3), keepdims=True)
        variance = jnp.mean(jnp.square(centred), axis=(1, 3), keepdims=True)
        y = centred * lax.rsqrt(variance + jnp.asarray(self.epsilon, jnp.float32))
        return _rescaled(params, y.reshape(x.shape)).astype(x.dtype), statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        # A group as one channel of a signal: the form in which ONNX has normalised images for longest.
        groups = self.group_count(shape[-1])
        split = graph.node("Reshape", x, graph.constant([0, groups, -1]))
        ones, zeros = (graph.constant(np.full(groups, value, np.float32)) for value in (1.0, 0.0))
        y = graph.node("InstanceNormalization", split, ones, zeros, epsilon=float(self.epsilon))
        y = graph.node("Reshape", y, graph.constant([0, shape[-1], *shape[:-1]]))
        for name, op in (("scale", "Mul"), ("bias", "Add")):
            if name in values:
                own = np.reshape(values[name], (-1, *(1,) * (len(shape) - 1)))
                y = graph.node(op, y, graph.constant(own, name))
        return y


class GroupNorm(_OfImages):
    """Every group of channels of an image to mean 0 and variance 1, whatever the batch.

    Its receptive field is that of its input: that the mean depends on every pixel is left out. Source: Wu & He 2018,
    arXiv:1803.08494.
    """

    kind: ClassVar[str] = "group_norm"

    groups: Annotated[int, Ge(1)] = Field(32, description="Number of groups that the channels are split into.")

    def group_count(self, channels: int) -> int:
        return self.groups

    def feature_order(self, shape: Shape, order: Array | None) -> Array | None:
        return order if self.groups == 1 else _unmoved(order, f"{self.groups} groups", shape)

    def output_shape(self, shape: Shape) -> Shape:
        if shape[-1] % self.groups:
            raise Misfit("groups", f"divide the input's channels, {shape[-1]}", self.groups, otherwise=shape)
        return super().output_shape(shape)


class InstanceNorm(_OfImages):
    """Every channel of an image to mean 0 and variance 1, whatever the batch: group_norm with a channel in each group.

    PyTorch's has a scale and a bias only with `affine=True`. Source: Ulyanov, Vedaldi & Lempitsky 2016,
    arXiv:1607.08022.
    """

    kind: ClassVar[str] = "instance_norm"

    def group_count(self, channels: int) -> int:
        return channels


class LocalResponseNorm(Layer):
    """Every value divided by (k + α Σ x²)^β, the sum over `size` neighbouring channels.

    α multiplies the sum, as in the paper; libraries that take the mean instead want α times `size`. Source:
    Krizhevsky, Sutskever & Hinton 2012, §3.3.
    """

    kind: ClassVar[str] = "local_response_norm"

    size: Annotated[int, Ge(1), Le(limits.WINDOW_PIXELS)] = Field(
        5, description="Number of neighbouring channels in the sum."
    )
    alpha: Annotated[float, Ge(0), TRACED] = Field(1e-4, description="Factor of the sum of squares.")
    beta: Annotated[float, TRACED] = Field(0.75, description="Exponent of the divisor.")
    k: Annotated[float, Gt(0), TRACED] = Field(2.0, description="Number added to the sum.")

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        wide = x.astype(jnp.float32)
        # A window has at most the existing channels as neighbours.
        before, after = (min(count, x.shape[-1] - 1) for count in (self.size // 2, (self.size - 1) // 2))
        around = ((0, 0),) * (x.ndim - 1) + ((before, after),)
        taps = before + 1 + after
        if taps <= _MOST_SHIFTS:  # a few shifted sums are faster than a window reduction over the fastest axis
            padded = jnp.pad(jnp.square(wide), around)
            sums = sum(lax.slice_in_dim(padded, i, i + x.shape[-1], axis=-1) for i in range(taps))
        else:
            window = (1,) * (x.ndim - 1) + (taps,)
            sums = lax.reduce_window(jnp.square(wide), np.zeros((), np.float32), lax.add, window, (1,) * x.ndim, around)
        alpha, beta, k = (jnp.asarray(value, jnp.float32) for value in (self.alpha, self.beta, self.k))
        return (wide * jnp.power(k + alpha * sums, -beta)).astype(x.dtype), statistics

    def feature_order(self, shape: Shape, order: Array | None) -> Array | None:
        return order if self.size == 1 else _unmoved(order, f"{self.size} neighbours", shape)

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        alpha, beta, k = float(self.alpha), float(self.beta), float(self.k)
        if len(shape) == 3 and self.size % 2:  # ONNX sums over one channel more after a value if the size is even
            return graph.node("LRN", x, alpha=alpha * self.size, beta=beta, bias=k, size=self.size)
        channel = np.arange(shape[-1])
        ahead = channel[None, :] - channel[:, None]  # of each output channel, for each input channel
        near = (ahead >= -(self.size // 2)) & (ahead <= (self.size - 1) // 2)
        band = near.astype(np.float32).reshape(*near.shape, *(1,) * (len(shape) - 1))
        squares = graph.node("Mul", x, x)
        if len(shape) == 1:
            sums = graph.node("MatMul", squares, graph.constant(band.T))
        else:
            sums = graph.node("Conv", squares, graph.constant(band))
        divisor = graph.node("Add", graph.node("Mul", sums, graph.constant(alpha)), graph.constant(k))
        return graph.node("Mul", x, graph.node("Pow", divisor, graph.constant(-beta)))
