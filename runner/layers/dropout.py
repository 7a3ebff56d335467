"""Dropout: values, channels or whole images left out at random while training."""

from typing import Annotated, ClassVar

import jax
import jax.numpy as jnp
from annotated_types import Ge, Lt
from pydantic import Field

from runner.graph import Graph
from runner.layers.base import Layer, Misfit, Shape, Tree, shape_text
from runner.layers.passes import Pass
from runner.records import TRACED


class Dropout(Layer):
    """In training every value is zero with probability `rate`, and what remains is multiplied by 1 / (1 − rate).

    Source: Srivastava et al. 2014, JMLR 15:1929.
    """

    kind: ClassVar[str] = "dropout"

    rate: Annotated[float, Ge(0), Lt(1), TRACED] = Field(0.5, description="Probability that a value is set to zero.")

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        if not at.training:
            return x, statistics
        kept = 1.0 - jnp.asarray(self.rate, jnp.float32)
        keeps = jax.random.uniform(at.key, self.drawn(x.shape)) < kept
        return jnp.where(keeps, x / kept.astype(x.dtype), jnp.zeros((), x.dtype)), statistics

    def drawn(self, shape: Shape) -> Shape:
        """The shape of the random draws for a batch of `shape`; values along an axis of 1 share a draw."""
        return shape

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return x


class SpatialDropout(Dropout):
    """In training a whole channel of an image is zero with probability `rate`; the others are scaled as in dropout.

    Neighbouring values of a feature map are alike, so that dropout of single values leaves out little. Source: Tompson
    et al. 2015, arXiv:1411.4280.
    """

    kind: ClassVar[str] = "spatial_dropout"

    rate: Annotated[float, Ge(0), Lt(1), TRACED] = Field(0.5, description="Probability that a channel is set to zero.")

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) == 1:
            raise Misfit("", "have an input with spatial axes", shape_text(shape), otherwise=shape)
        return shape

    def drawn(self, shape: Shape) -> Shape:
        return (shape[0], *(1,) * (len(shape) - 2), shape[-1])


class StochasticDepth(Dropout):
    """In training all values of an image are zero with probability `rate`; other images are scaled as in dropout.

    At the end of the layers of a `residual`, that image passes by the shortcut alone. Source: Huang et al. 2016,
    arXiv:1603.09382; the scale is torchvision's, which leaves evaluation as it is.
    """

    kind: ClassVar[str] = "stochastic_depth"

    rate: Annotated[float, Ge(0), Lt(1), TRACED] = Field(0.1, description="Probability that an image is left out.")

    def drawn(self, shape: Shape) -> Shape:
        return (shape[0], *(1,) * (len(shape) - 1))
