"""Convolution over one or two spatial axes."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import jax
from annotated_types import Ge
from pydantic import BeforeValidator, Field

from runner.errors import must
from runner.geometry import Window
from runner.graph import Graph
from runner.layers import sliding
from runner.layers.base import SCALED, Fallback, Layer, Misfit, Parameter, Precision, Shape, Tree, biased
from runner.layers.initializers import Initializer, InitializerField, initializer
from runner.layers.passes import Pass
from runner.layers.window import PaddingField, PaddingMode, Pixels, output_spatial, pad, slide
from runner.ops.conv import conv


def _filters(value: Any) -> Any:
    if value == "classes":
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(must("", "be a whole number", value).text)
    if value < 1:
        raise ValueError(must("", "be ≥ 1", value).text)
    return value


class Filtered(Layer):
    """A layer with filters, of which each makes one channel of the next map."""

    filters: Annotated[Annotated[int, Ge(1)] | Literal["classes"], BeforeValidator(_filters), SCALED] = Field(
        examples=[16],
        description="Number of filters, that is of output channels; classes: one for each class of the data.",
    )

    def bind(self, classes: int, vocabulary: int | None = None, precision: Precision = "float32") -> Self:
        return self.model_copy(update={"filters": classes}) if self.filters == "classes" else self

    def filter_count(self) -> int:
        """The number of filters of a bound layer."""
        assert self.filters != "classes", "a model is bound to its data before anything asks for its filters"
        return self.filters


class Grouped(Filtered):
    """Filters of groups of channels, and what is the same of them whichever way they are slid."""

    if TYPE_CHECKING:  # each kind declares them itself, so that its arguments have the usual order
        groups: int
        use_bias: bool
        kernel_init: Initializer
        bias_init: Initializer

    @property
    def grouped(self) -> bool:
        return self.groups > 1

    def widened(self, factor: float) -> Self:
        wide = super().widened(factor)
        # A depthwise convolution keeps one group for each filter.
        return wide.model_copy(update={"groups": wide.filters}) if self.filters == self.groups != 1 else wide

    def check_groups(self, channels: int, *, otherwise: Shape) -> None:
        """Raises Misfit if the groups do not divide the channels of the input and the filters."""
        for name, count in (("the input's channels", channels), ("filters", self.filter_count())):
            if count % self.groups:
                raise Misfit("groups", f"divide {name}, {count}", self.groups, otherwise=otherwise)

    def check_initializers(self, parameters: Mapping[str, Parameter], *, otherwise: Shape) -> None:
        """Raises Misfit if an initialiser cannot make its parameter."""
        for name, parameter in parameters.items():
            if rule := parameter.init.refuses(parameter.shape):
                raise Misfit(f"{name}_init", rule, parameter.shape, otherwise=otherwise)

    def kernel_and_bias(self, kernel: Shape) -> dict[str, Parameter]:
        """The parameters, for a kernel of this shape."""
        bias = Parameter((self.filter_count(),), self.bias_init, torch="bias")
        return {"kernel": Parameter(kernel, self.kernel_init, decays=True, kernel=True)} | (
            {"bias": bias} if self.use_bias else {}
        )


class Conv(Grouped):
    """Filters slid over a feature map; each makes one channel of the next.

    `(n, h, w, c)` → `(n, h', w', filters)`. Computes the cross-correlation, as usual in the field.
    Source: LeCun et al. 1998, doi:10.1109/5.726791; Dumoulin & Visin 2016, arXiv:1603.07285.
    """

    kind: ClassVar[str] = "conv"
    convolves: ClassVar[bool] = True

    kernel_size: Pixels = Field(examples=[3], description="Size of every filter in pixels: n, or [h, w].")
    stride: Annotated[Pixels, Fallback(1)] = Field(1, description="Step of the window in pixels: n, or [h, w].")
    padding: PaddingField = Field(
        "valid",
        description="Pixels added around the input: valid (none), same, full, causal (one axis only), n, [h, w] or "
        "[[top, bottom], [left, right]].",
    )
    padding_mode: PaddingMode = Field("zeros", description="The values of the added pixels.")
    dilation: Pixels = Field(
        1, description="Distance between neighbouring values of a filter, in pixels: n, or [h, w]."
    )
    groups: Annotated[int, Ge(1)] = Field(1, description="Number of groups that channels and filters are split into.")
    use_bias: bool = Field(True, description="Whether each filter adds a learnt bias.")
    kernel_init: InitializerField = Field(initializer("he_normal"), description="Initialiser of the filters.")
    bias_init: InitializerField = Field(initializer("zeros"), description="Initialiser of the biases.")

    def windows(self, shape: Shape) -> tuple[Window, ...]:
        return slide(
            shape,
            name="kernel_size",
            size=self.kernel_size,
            stride=self.stride,
            dilation=self.dilation,
            padding=self.padding,
            padding_mode=self.padding_mode,
            otherwise=(*shape[:-1], self.filter_count()),
        )

    def output_shape(self, shape: Shape) -> Shape:
        windows, filters = self.windows(shape), self.filter_count()
        otherwise = (*shape[:-1], filters)
        self.check_groups(shape[-1], otherwise=otherwise)
        if self.kernel_init.known is not None and shape[-1] > self.groups > 1:
            alone = f"be 1 or the number of channels, {shape[-1]}, under kernel_init {self.kernel_init}"
            raise Misfit("groups", alone, self.groups, otherwise=otherwise)
        self.check_initializers(self._parameters(shape, windows), otherwise=otherwise)
        return (*output_spatial(shape, windows), filters)

    def parameters(self, shape: Shape) -> Tree:
        return dict(self._parameters(shape, self.windows(shape)))

    def _parameters(self, shape: Shape, windows: tuple[Window, ...]) -> dict[str, Parameter]:
        sizes = (window.size for window in windows)
        return self.kernel_and_bias((*sizes, shape[-1] // self.groups, self.filter_count()))

    def multiply_adds(self, shape: Shape) -> int:
        kernel = self._parameters(shape, self.windows(shape))["kernel"]
        return math.prod(kernel.shape) * math.prod(self.output_shape(shape)[:-1])

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        padded, windows = pad(x, self.windows(x.shape[1:]), self.padding_mode)
        y = conv(padded, params["kernel"], windows, self.groups)
        if self.use_bias:
            y = biased(y, params["bias"])
        return y, statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        windows, bias = self.windows(shape), values.get("bias")
        return sliding.convolved(graph, x, windows, values["kernel"], bias, mode=self.padding_mode, groups=self.groups)
