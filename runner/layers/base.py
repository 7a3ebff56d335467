"""The base class of layers: a frozen record with its schema, shape rule, parameters, forward function and cost.

A shape has no batch axis: `(height, width, channels)`, `(length, channels)` or, once flat, `(features,)`. Arrays
carry the batch first: `(n, h, w, c)`. A new kind of layer is one class with a `kind`:

    class Scale(Layer):
        kind = "scale"
        by: Annotated[float, TRACED] = Field(2.0, description="Factor of every value.")

        def apply(self, params, statistics, x, at):
            return x * jnp.asarray(self.by, x.dtype), statistics
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from runner.errors import Fault, must
from runner.geometry import ReceptiveField, Window
from runner.graph import Graph
from runner.layers.initializers import Initializer
from runner.layers.passes import Located, Pass
from runner.records import Record

Shape = tuple[int, ...]
Tree = dict[str, Any]
Array = np.ndarray[Any, Any]
Precision = Literal["float32", "bfloat16"]


class _Scaled:
    """The type of SCALED, which marks a count that `model.width` multiplies."""

    def __repr__(self) -> str:
        return "SCALED"


SCALED: Final = _Scaled()


@dataclass(frozen=True)
class Fallback:
    """Marks a field with the value that error recovery uses instead of an invalid one.

    The value makes the output as large as possible, so a window that does not fit then could not have fitted.
    """

    value: Any


@dataclass(frozen=True)
class Parameter:
    """A parameter of a layer: its shape, its initialiser, and whether weight decay applies.

    `torch` is PyTorch's name for it. A `kernel` is `(*spatial, in, out)` here and `(out, in, *spatial)` in PyTorch.
    """

    shape: Shape
    init: Initializer
    decays: bool = False
    torch: str = "weight"
    kernel: bool = False


@dataclass(frozen=True)
class Statistic:
    """A running statistic of a layer: its shape, its initial value, and PyTorch's name for it."""

    shape: Shape
    value: float
    torch: str


class Misfit(Exception):  # noqa: N818 - it never reaches a user: the survey turns it into a Fault with its path
    """A layer does not fit its input. A survey continues with the output shape `otherwise`."""

    def __init__(self, name: str, rule: str, got: object, *, otherwise: Shape, needs: int = 0) -> None:
        super().__init__(rule)
        self.field, self.rule, self.got, self.otherwise, self.needs = name, rule, got, otherwise, needs


class FeatureMap(NamedTuple):
    """The shape, receptive fields and vocabulary of values between two layers."""

    shape: Shape
    fields: tuple[ReceptiveField, ...]  # one per axis of the input image
    vocabulary: int | None = None  # the number of different tokens; None if the values are numbers


class Row(NamedTuple):
    """One row of `describe`. `activation_bytes` is the size of the output for one image in float32.

    Copies of a repeated layer have the same `path`, their place in the YAML, and differ in `located`.
    """

    path: str
    kind: str
    output: FeatureMap
    parameters: int
    multiply_adds: int
    located: Located

    @property
    def activation_bytes(self) -> int:
        return 4 * math.prod(self.output.shape)


class Step(NamedTuple):
    """The images of a training step: a batch, split into `accumulate` parts that are processed in turn."""

    batch_size: int
    accumulate: int
    freeze: tuple[str, ...]  # names of layers that are not trained

    @property
    def images(self) -> int:
        """The number of images in one part."""
        return max(self.batch_size // self.accumulate, 1)


@dataclass
class Survey:
    """The result of a walk over the layers: a row for each, and the faults.

    If `guessed`, some invalid layers were replaced by guesses. Then only windows larger than their input are certain
    faults.
    """

    input_size: int
    guessed: bool = False
    step: Step | None = None  # None: not training
    rows: list[Row] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    _outgrown: bool = False

    def misfit(self, path: str, misfit: Misfit) -> None:
        """Adds a fault, unless it may be a consequence of an earlier one."""
        if misfit.needs and self._outgrown and misfit.needs <= self.input_size:
            return
        if self.guessed and not misfit.needs:
            return
        self._outgrown |= misfit.needs > 0
        fault = must(f"{path}.{misfit.field}" if misfit.field else path, misfit.rule, misfit.got)
        # The copies of a repeated layer have one path: only the fault of the first copy is reported.
        if all(fault.path != known.path for known in self.faults):
            self.faults.append(fault)


class Layer(Record):
    """One layer of a network. By default it has no parameters and keeps the shape.

    Facts that other packages need about a kind are class attributes here, or marks on fields (`TRACED`, `SCALED`,
    `Fallback`).
    """

    kind: ClassVar[str]
    lists: ClassVar[tuple[str, ...]] = ()  # the fields that are a list of layers
    list_groups: ClassVar[tuple[str, ...]] = ()  # the fields that are several lists of layers
    convolves: ClassVar[bool] = False  # whether it computes one convolution

    def held(self) -> Iterator["Layer"]:
        """The layers inside this layer."""
        return iter(())

    def layer_count(self) -> int:
        """The number of layers, counted without copying them: itself, and every copy of the layers inside."""
        return 1 + sum(layer.layer_count() for layer in self.held())

    def located(self, here: Located) -> Iterator[Located]:
        """The places of the layer, which is at `here`, and of the layers inside; each copy of a repeated one."""
        yield here

    @property
    def grouped(self) -> bool:
        """Whether it computes a convolution with groups, whose gradients XLA computes slowly inside loops."""
        return False

    def widened(self, factor: float) -> Self:
        """The same layer with every `SCALED` count multiplied by `factor`, rounded, and at least 1.

        Source: the width multiplier of Howard et al. 2017, arXiv:1704.04861, §3.3.
        """
        counts = {
            name: getattr(self, name) for name, field in type(self).model_fields.items() if SCALED in field.metadata
        }
        scaled = {name: max(1, round(count * factor)) for name, count in counts.items() if isinstance(count, int)}
        return self.model_copy(update=scaled) if scaled else self

    def feature_order(self, shape: Shape, order: Array | None) -> Array | None:
        """The index in PyTorch, which flattens channels first, of each output feature; None: the same index.

        `order` is the same for the input. A kernel makes new features; a layer that keeps the shape keeps the order.
        Raises Misfit if the layer computes something else in the order of PyTorch.
        """
        makes_features = any(parameter.kernel for parameter in jax.tree.leaves(self.parameters(shape)))
        return None if makes_features or self.output_shape(shape) != shape else order

    @property
    def label(self) -> str:
        """The layer's name in paths: its kind, or the name of the block."""
        return self.kind

    def bind(self, classes: int, vocabulary: int | None = None, precision: Precision = "float32") -> Self:
        """The same layer for data with this number of classes and, if they are texts, of tokens.

        `precision` is the type in which layers compute; an embedding needs it, as tokens are integers.
        """
        del classes, vocabulary, precision
        return self

    def output_shape(self, shape: Shape) -> Shape:
        """The output shape for an input of `shape`. Raises Misfit if the layer does not fit it."""
        return shape

    def parameters(self, shape: Shape) -> Tree:
        """The parameters by name; the leaves are `Parameter`."""
        del shape
        return {}

    def statistics(self, shape: Shape) -> Tree:
        """The running statistics by name; the leaves are `Statistic`."""
        del shape
        return {}

    def multiply_adds(self, shape: Shape) -> int:
        """Multiply-adds of convolutions and dense products for one image."""
        del shape
        return 0

    def windows(self, shape: Shape) -> tuple[Window, ...]:
        """The window of one output position along each input axis; empty if it depends on its own position only."""
        del shape
        return ()

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        """The output for a batch `x`, and the statistics after it."""
        raise NotImplementedError(f"{type(self).__name__}.apply")

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        """Adds the layer, as in evaluation, to an ONNX graph. Returns the name of the output for the input `x`.

        `shape` is that of the input, channels last as everywhere here; `values` has parameters and statistics by name.
        Raises NotImplementedError if the kind cannot be exported.
        """
        raise NotImplementedError(self.kind)

    def output_fields(self, at: FeatureMap) -> tuple[ReceptiveField, ...]:
        """The receptive fields of the output along each axis of the input image."""
        if not (windows := self.windows(at.shape)):
            return at.fields
        along = zip(at.fields, windows, at.shape[:-1], strict=True)
        return tuple(field.through(window, size) for field, window, size in along)

    def accept(self, at: FeatureMap, output: Shape) -> None:
        """Raises Misfit if the layer cannot compute on `at`: most layers need numbers, not tokens."""
        if at.vocabulary is not None:
            rule = "have an embedding before it, as the data are tokens"
            raise Misfit("", rule, shape_text(at.shape), otherwise=output)

    def survey(self, at: FeatureMap, here: Located, into: Survey) -> FeatureMap:
        """Adds this layer's row or fault to `into`, and returns its output for the input `at`."""
        try:
            shape = self.output_shape(at.shape)
            self.accept(at, shape)
        except Misfit as misfit:
            into.misfit(here.place, misfit)
            return FeatureMap(misfit.otherwise, at.fields)
        output = FeatureMap(shape, self.output_fields(at))
        costs = self.parameter_count(at.shape), self.multiply_adds(at.shape)
        into.rows.append(Row(here.place, self.kind, output, *costs, here))
        return output

    def parameter_count(self, shape: Shape) -> int:
        """The number of learnt values."""
        return sum(math.prod(parameter.shape) for parameter in jax.tree.leaves(self.parameters(shape)))


def kinds(root: type[Layer] = Layer) -> Iterator[type[Layer]]:
    """Every declared class of layer, in the order of declaration."""
    for child in root.__subclasses__():
        if "kind" in vars(child):
            yield child
        yield from kinds(child)


def shape_text(shape: Shape) -> str:
    """A shape as text: 28×28×6."""
    return "×".join(str(size) for size in shape)


def whole(shape: Shape) -> tuple[Window, ...]:
    """The windows of a layer whose outputs depend on the whole feature map."""
    return tuple(Window(size) for size in shape[:-1])


def along_channels(values: jax.Array, rank: int) -> jax.Array:
    """A vector `(c,)`, or `(*spatial, c)`, in float32, with axes of 1 before it: as many as `rank` in all."""
    return values.astype(jnp.float32).reshape((1,) * (rank - values.ndim) + values.shape)


def biased(y: jax.Array, bias: jax.Array) -> jax.Array:
    """`y` (n, …, c) plus a number for each channel, or for each channel of each position, in the type of `y`.

    Added in float32, so that the bias's gradient, a sum over the batch, is added up in float32 too: in bfloat16 a sum
    of ones stops at 256.
    """
    return (y.astype(jnp.float32) + along_channels(bias, y.ndim)).astype(y.dtype)
