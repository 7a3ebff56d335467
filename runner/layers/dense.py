"""Fully connected layers: every output is a weighted sum of all inputs."""

from typing import Annotated, ClassVar, Self

import jax
from annotated_types import Ge
from pydantic import Field

from runner.graph import Graph
from runner.layers.base import SCALED, Layer, Misfit, Parameter, Precision, Shape, Tree, biased, shape_text
from runner.layers.initializers import InitializerField, initializer
from runner.layers.passes import Pass


class _FullyConnected(Layer):
    """The base class of fully connected layers; a subclass gives the number of units."""

    use_bias: bool = Field(True, description="Whether each unit adds a learnt bias.")
    bias_init: InitializerField = Field(initializer("zeros"), description="Initialiser of the biases.")
    kernel_init: InitializerField = Field(initializer("he_normal"), description="Initialiser of the weights.")

    def unit_count(self) -> int:
        raise NotImplementedError(f"{type(self).__name__}.unit_count")

    def output_shape(self, shape: Shape) -> Shape:
        otherwise = (self.unit_count(),)
        if len(shape) != 1:
            raise Misfit("", "have a flat input (put flatten before it)", shape_text(shape), otherwise=otherwise)
        for name, parameter in self.parameters(shape).items():
            if rule := parameter.init.refuses(parameter.shape):
                raise Misfit(f"{name}_init", rule, parameter.shape, otherwise=otherwise)
        return otherwise

    def parameters(self, shape: Shape) -> Tree:
        kernel = Parameter((shape[0], self.unit_count()), self.kernel_init, decays=True, kernel=True)
        bias = {"bias": Parameter((self.unit_count(),), self.bias_init, torch="bias")} if self.use_bias else {}
        return {"kernel": kernel} | bias

    def multiply_adds(self, shape: Shape) -> int:
        return shape[0] * self.unit_count()

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        y = x @ params["kernel"].astype(x.dtype)
        if self.use_bias:
            y = biased(y, params["bias"])
        return y, statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        biases = (graph.constant(values["bias"], "bias"),) if self.use_bias else ()
        return graph.node("Gemm", x, graph.constant(values["kernel"], "kernel"), *biases)


class Dense(_FullyConnected):
    """A fully connected layer: `(n, features)` → `(n, units)`."""

    kind: ClassVar[str] = "dense"

    units: Annotated[int, Ge(1), SCALED] = Field(examples=[10], description="Number of outputs.")

    def unit_count(self) -> int:
        return self.units


class Classifier(_FullyConnected):
    """A fully connected layer with one unit for each class of the data: `(n, features)` → `(n, classes)`."""

    kind: ClassVar[str] = "classifier"

    # Outputs should begin near zero, with all classes equally likely, so there is no factor for a ReLU.
    kernel_init: InitializerField = Field(initializer("lecun_normal"), description="Initialiser of the weights.")
    classes: Annotated[int, Ge(1)] | None = Field(None, description="Number of classes; null: that of the data.")

    def bind(self, classes: int, vocabulary: int | None = None, precision: Precision = "float32") -> Self:
        return self if self.classes else self.model_copy(update={"classes": classes})

    def unit_count(self) -> int:
        assert self.classes is not None, "a classifier is bound to its data before anything asks for its units"
        return self.classes
