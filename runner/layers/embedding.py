"""Embedding: every token becomes a vector that is learnt."""

from typing import Annotated, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge
from pydantic import Field

from runner.graph import Graph
from runner.layers.base import FeatureMap, Layer, Misfit, Parameter, Precision, Shape, Tree, shape_text
from runner.layers.initializers import InitializerField, initializer
from runner.layers.passes import Pass

PADDING = 0
"""The token that pads short texts."""


class Embedding(Layer):
    """Tokens looked up in a table of vectors: int32 `(n, length, 1)` → `(n, length, dim)`.

    Source: Bengio, Ducharme, Vincent & Jauvin 2003, A Neural Probabilistic Language Model, JMLR 3.
    """

    kind: ClassVar[str] = "embedding"

    dim: Annotated[int, Ge(1)] = Field(
        examples=[32], description="Length of a token's vector: the channels of the output."
    )
    zero_padding: bool = Field(True, description="Whether the vector of padding, token 0, is zero and is not trained.")
    table_init: InitializerField = Field(
        initializer("normal", stddev=0.1), description="Initialiser of the vectors, one row for each token."
    )
    vocabulary: Annotated[int, Ge(1)] | None = Field(
        None, description="Number of tokens, including padding; null: that of the data."
    )
    precision: Precision | None = Field(None, description="The type of the vectors; null: train.precision.")

    def bind(self, classes: int, vocabulary: int | None = None, precision: Precision = "float32") -> Self:
        own = {"vocabulary": self.vocabulary or vocabulary, "precision": self.precision or precision}
        return self.model_copy(update=own)

    def accept(self, at: FeatureMap, output: Shape) -> None:
        if at.vocabulary is None:
            raise self._misfit(at.shape)
        if self._rows() < at.vocabulary:
            rule = f"be at least {at.vocabulary}, as many as the data have"
            raise Misfit("vocabulary", rule, self._rows(), otherwise=output)

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 2 or shape[-1] != 1:
            raise self._misfit(shape)
        table = (self._rows(), self.dim)
        if rule := self.table_init.refuses(table):
            raise Misfit("table_init", rule, table, otherwise=(shape[0], self.dim))
        return (shape[0], self.dim)

    def _misfit(self, shape: Shape) -> Misfit:
        return Misfit("", "have tokens before it, as data=text gives", shape_text(shape), otherwise=shape)

    def parameters(self, shape: Shape) -> Tree:
        return {"table": Parameter((self._rows(), self.dim), self.table_init, decays=True)}

    def _rows(self) -> int:
        # If the data are not tokens, there is no vocabulary, and `accept` raises Misfit.
        return self.vocabulary or 1

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        tokens = x[..., 0]  # (n, length)
        # Cast after the look-up: a batch has fewer rows than the table.
        vectors = jnp.take(params["table"], tokens, axis=0, mode="clip").astype(self.precision or "float32")
        if self.zero_padding:
            vectors = jnp.where((tokens == PADDING)[..., None], jnp.zeros((), vectors.dtype), vectors)
        return vectors, statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        table = np.array(values["table"], np.float32)
        if self.zero_padding:
            table[PADDING] = 0
        rows = graph.node("Clip", graph.node("Cast", x, to="int64"), graph.constant(0), graph.constant(len(table) - 1))
        tokens = graph.node("Squeeze", rows, graph.constant([1]))  # (n, length)
        vectors = graph.node("Gather", graph.constant(table, "table"), tokens)  # (n, length, dim)
        return graph.node("Transpose", vectors, perm=[0, 2, 1])
