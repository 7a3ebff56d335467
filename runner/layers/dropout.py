"""Dropout: values left out at random while training."""

from typing import Annotated, ClassVar

import jax
import jax.numpy as jnp
from annotated_types import Ge, Lt
from pydantic import Field

from runner.graph import Graph
from runner.layers.base import Layer, Shape, Tree
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
        keeps = jax.random.uniform(at.key, x.shape) < kept
        return jnp.where(keeps, x / kept.astype(x.dtype), jnp.zeros((), x.dtype)), statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        return x
