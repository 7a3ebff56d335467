"""A layer is one frozen record: its schema, its shape rule, its parameters, its application and its cost.

A shape has no batch axis: `(height, width, channels)`, `(length, channels)` or, once flat, `(features,)`. Arrays
carry the batch first: `(n, h, w, c)`. Adding a kind of layer is one class with a `kind` here and there:

    class Scale(Layer):
        kind = "scale"
        by: Annotated[float, TRACED] = Field(2.0, description="What every value is multiplied by.")

        def apply(self, params, statistics, x, at):
            return x * jnp.asarray(self.by, x.dtype), statistics
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from runner.errors import Fault, must
from runner.geometry import ReceptiveField, Window
from runner.layers.initializers import Initializer
from runner.layers.passes import Located, Pass
from runner.records import Record

Shape = tuple[int, ...]
Tree = dict[str, Any]
Array = np.ndarray[Any, Any]
Precision = Literal["float32", "bfloat16"]


class _Scaled:
    """The marker of a count that `model.width` multiplies."""

    def __repr__(self) -> str:
        return "SCALED"


SCALED: Final = _Scaled()


@dataclass(frozen=True)
class Fallback:
    """The marker of a field with the value that error recovery puts in place of one that cannot be read.

    It is the value that makes the output largest: a window that does not fit then would not have fitted before.
    """

    value: Any


@dataclass(frozen=True)
class Parameter:
    """What gradient descent learns: its shape, its initialiser, and whether weight decay applies to it.

    `torch` is PyTorch's name for it. A `kernel` is `(*spatial, in, out)` here and `(out, in, *spatial)` in PyTorch.
    """

    shape: Shape
    init: Initializer
    decays: bool = False
    torch: str = "weight"
    kernel: bool = False


@dataclass(frozen=True)
class Statistic:
    """What a layer measures while it trains: its shape, its initial value, and PyTorch's name for it."""

    shape: Shape
    value: float
    torch: str


class Misfit(Exception):  # noqa: N818 - it never reaches a user: the survey turns it into a Fault with its path
    """A layer cannot take its input. `otherwise` is the output shape with which a survey may go on looking."""

    def __init__(self, name: str, rule: str, got: object, *, otherwise: Shape, needs: int = 0) -> None:
        super().__init__(rule)
        self.field, self.rule, self.got, self.otherwise, self.needs = name, rule, got, otherwise, needs


class FeatureMap(NamedTuple):
    """What flows between layers, as far as it is known without computing it."""

    shape: Shape
    fields: tuple[ReceptiveField, ...]  # one per axis of the input image
    vocabulary: int | None = None  # how many tokens there are, where the values are tokens and not yet numbers


class Row(NamedTuple):
    """What `describe` says of one layer. Bytes are those of its output for one image in float32."""

    path: str
    kind: str
    output: FeatureMap
    parameters: int
    multiply_adds: int

    @property
    def activation_bytes(self) -> int:
        return 4 * math.prod(self.output.shape)


class Step(NamedTuple):
    """How a training step passes images through the layers: `accumulate` parts of a batch, one after another."""

    batch_size: int
    accumulate: int
    freeze: tuple[str, ...]  # names of layers that stay as they are

    @property
    def images(self) -> int:
        """How many images pass at once."""
        return max(self.batch_size // self.accumulate, 1)


@dataclass
class Survey:
    """What a walk over the layers found: a row for each, and what does not fit.

    `guessed` says that some layers stand in for ones that could not be read: then only windows larger than their
    input are certain not to fit.
    """

    input_size: int
    guessed: bool = False
    step: Step | None = None  # None: nobody trains
    rows: list[Row] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    _outgrown: bool = False

    def misfit(self, path: str, misfit: Misfit) -> None:
        """Notes that a layer does not fit, unless that may only follow from another that did not."""
        if misfit.needs and self._outgrown and misfit.needs <= self.input_size:
            return
        if self.guessed and not misfit.needs:
            return
        self._outgrown |= misfit.needs > 0
        fault = must(f"{path}.{misfit.field}" if misfit.field else path, misfit.rule, misfit.got)
        # A repeated layer has one path: what is wrong in its first copy is told, and later ones may only put it anew.
        if all(fault.path != known.path for known in self.faults):
            self.faults.append(fault)


class Layer(Record):
    """One layer of a network. The defaults here are those of a layer that learns nothing and keeps its shape.

    What other rooms must know of a kind is declared here and on the fields (`TRACED`, `SCALED`, `Fallback`).
    """

    kind: ClassVar[str]
    lists: ClassVar[tuple[str, ...]] = ()  # the fields that are a list of layers
    list_groups: ClassVar[tuple[str, ...]] = ()  # the fields that are several lists of layers
    convolves: ClassVar[bool] = False  # whether it computes one convolution

    def held(self) -> Iterator["Layer"]:
        """The layers that this layer holds."""
        return iter(())

    def layer_count(self) -> int:
        """The number of layers, counted without copying them: itself, and every copy of the layers that it holds."""
        return 1 + sum(layer.layer_count() for layer in self.held())

    def located(self, here: Located) -> Iterator[Located]:
        """The layer itself, which is `here`, and the layers that it holds, each copy of a repeated one."""
        yield here

    @property
    def grouped(self) -> bool:
        """Whether it computes a convolution with groups, whose gradients XLA computes slowly inside loops."""
        return False

    def widened(self, factor: float) -> "Layer":
        """The same layer with every `SCALED` count multiplied by `factor`; at least 1 is left.

        Source: the width multiplier of Howard et al. 2017, arXiv:1704.04861, §3.3.
        """
        counts = {
            name: getattr(self, name) for name, field in type(self).model_fields.items() if SCALED in field.metadata
        }
        scaled = {name: max(1, round(count * factor)) for name, count in counts.items() if isinstance(count, int)}
        return self.model_copy(update=scaled) if scaled else self

    def feature_order(self, shape: Shape, order: Array | None) -> Array | None:
        """Where PyTorch, which flattens channels first, has each feature of the output; None: at its place.

        `order` says the same of the input. A kernel makes new features; a layer that keeps the shape keeps the order.
        """
        makes_features = any(parameter.kernel for parameter in jax.tree.leaves(self.parameters(shape)))
        return None if makes_features or self.output_shape(shape) != shape else order

    @property
    def label(self) -> str:
        """What the layer is called in paths: its kind, or the name of the block that it is."""
        return self.kind

    def bind(self, classes: int, vocabulary: int | None = None, precision: Precision = "float32") -> "Layer":
        """The same layer for data of so many classes, and of so many tokens where they are texts.

        `precision` is what the layers compute in: numbers say it themselves, tokens cannot.
        """
        del classes, vocabulary, precision
        return self

    def output_shape(self, shape: Shape) -> Shape:
        """The shape that comes of `shape`. Raises Misfit where the layer cannot take it."""
        return shape

    def parameters(self, shape: Shape) -> Tree:
        """What is learnt, by name; the leaves are `Parameter`."""
        del shape
        return {}

    def statistics(self, shape: Shape) -> Tree:
        """What is measured in training, by name; the leaves are `Statistic`."""
        del shape
        return {}

    def multiply_adds(self, shape: Shape) -> int:
        """Multiply-adds of convolutions and dense products for one image."""
        del shape
        return 0

    def windows(self, shape: Shape) -> tuple[Window, ...]:
        """What one output position sees of each axis of the input; none where it sees only its own."""
        del shape
        return ()

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        """The output for a batch `x`, and the statistics after it."""
        raise NotImplementedError(f"{type(self).__name__}.apply")

    def output_fields(self, at: FeatureMap) -> tuple[ReceptiveField, ...]:
        """What the positions of the output see of the input image, along each of its axes."""
        if not (windows := self.windows(at.shape)):
            return at.fields
        along = zip(at.fields, windows, at.shape[:-1], strict=True)
        return tuple(field.through(window, size) for field, window, size in along)

    def accept(self, at: FeatureMap, output: Shape) -> None:
        """Raises Misfit where `at` is not what the layer computes on: as a rule numbers, and not tokens."""
        if at.vocabulary is not None:
            rule = "have an embedding before it, as the data are tokens"
            raise Misfit("", rule, shape_text(at.shape), otherwise=output)

    def survey(self, at: FeatureMap, here: Located, into: Survey) -> FeatureMap:
        """Notes this layer's row, or why it does not fit, and returns its output for the input `at`."""
        try:
            shape = self.output_shape(at.shape)
            self.accept(at, shape)
        except Misfit as misfit:
            into.misfit(here.place, misfit)
            return FeatureMap(misfit.otherwise, at.fields)
        output = FeatureMap(shape, self.output_fields(at))
        costs = self.parameter_count(at.shape), self.multiply_adds(at.shape)
        into.rows.append(Row(here.place, self.kind, output, *costs))
        return output

    def parameter_count(self, shape: Shape) -> int:
        """How many numbers are learnt."""
        return sum(math.prod(parameter.shape) for parameter in jax.tree.leaves(self.parameters(shape)))


def kinds(root: type[Layer] = Layer) -> Iterator[type[Layer]]:
    """Every class of layer that has been declared, in the order of declaration."""
    for child in root.__subclasses__():
        if "kind" in vars(child):
            yield child
        yield from kinds(child)


def shape_text(shape: Shape) -> str:
    """A shape as it is written in text: 28×28×6."""
    return "×".join(str(size) for size in shape)


def whole(shape: Shape) -> tuple[Window, ...]:
    """The windows of a layer that looks at a whole feature map at once."""
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
