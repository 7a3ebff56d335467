"""Transposed convolution over one or two spatial axes: a convolution run backwards, which makes maps larger."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

import jax
import numpy as np
from annotated_types import Ge
from pydantic import Field

from runner import limits
from runner.geometry import ReceptiveField, Transposed, Window
from runner.graph import Graph
from runner.layers import sliding
from runner.layers.base import Fallback, FeatureMap, Misfit, Parameter, Shape, Tree, biased
from runner.layers.conv import Grouped
from runner.layers.initializers import InitializerField, initializer
from runner.layers.passes import Pass
from runner.layers.window import CutField, Pixels, PixelsOrNone, check_period, each_axis
from runner.ops.conv import conv_transpose

# In place of a value that cannot be read: the larger each of them is, the larger is the output.
_LARGE = Fallback(limits.FIELD_PERIOD)


class ConvTranspose(Grouped):
    """Filters added to the output at every position of the input, each times the value there: the transpose of conv.

    `(n, h, w, c)` → `(n, h', w', filters)`, h' = (h − 1) · stride + extent − padding + output_padding. The kernel is
    that of the convolution from the output to the input, `(*spatial, filters / groups, c)`, so that the fan_in of an
    initialiser counts filters, as in PyTorch and Keras. Source: Dumoulin & Visin 2016, arXiv:1603.07285, §4.
    """

    kind: ClassVar[str] = "conv_transpose"
    convolves: ClassVar[bool] = True

    kernel_size: Annotated[Pixels, _LARGE] = Field(
        examples=[3], description="Size of every filter in pixels: n, or [h, w]."
    )
    stride: Annotated[Pixels, _LARGE] = Field(
        1, description="Distance in the output between the filters of neighbouring pixels: n, or [h, w]."
    )
    padding: CutField = Field(
        "valid",
        description="Pixels cut off around the output: valid (none), same (an output stride times as large), n, "
        "[h, w] or [[top, bottom], [left, right]].",
    )
    output_padding: Annotated[PixelsOrNone, _LARGE] = Field(
        0, description="Pixels added at the end of the output, less than the stride: n, or [h, w]."
    )
    dilation: Annotated[Pixels, _LARGE] = Field(
        1, description="Distance between neighbouring values of a filter, in pixels: n, or [h, w]."
    )
    groups: Annotated[int, Ge(1)] = Field(1, description="Number of groups that channels and filters are split into.")
    use_bias: bool = Field(True, description="Whether each filter adds a learnt bias.")
    kernel_init: InitializerField = Field(initializer("he_normal"), description="Initialiser of the filters.")
    bias_init: InitializerField = Field(initializer("zeros"), description="Initialiser of the biases.")

    def transposed(self, shape: Shape) -> tuple[Transposed, ...]:
        """The transposed window along each spatial axis. Raises Misfit, with the field, if there is none."""
        # An output at least as large as any that was meant, so that no window after a fault is said not to fit.
        most, size, apart = (int(np.max(each)) for each in (self.stride, self.kernel_size, self.dilation))
        otherwise = (*(length * most + apart * (size - 1) for length in shape[:-1]), self.filter_count())
        sizes, strides, dilations, paddings, added = (
            each_axis(shape, name, getattr(self, name), otherwise=otherwise)
            for name in ("kernel_size", "stride", "dilation", "padding", "output_padding")
        )
        for more, stride in zip(added, strides, strict=True):
            if more and self.padding == "same":
                raise Misfit("output_padding", "be 0 under padding same", self.output_padding, otherwise=otherwise)
            if more >= stride:
                rule = f"be less than the stride, {stride}"
                raise Misfit("output_padding", rule, self.output_padding, otherwise=otherwise)
        found = tuple(map(_along, sizes, strides, dilations, paddings, added))
        if min(own.output_size(length) for own, length in zip(found, shape, strict=False)) < 1:
            rule = "leave at least 1 pixel of the output along each axis"
            raise Misfit("padding", rule, self.padding, otherwise=otherwise)
        return found

    def output_shape(self, shape: Shape) -> Shape:
        transposed, filters = self.transposed(shape), self.filter_count()
        output = (*(own.output_size(length) for own, length in zip(transposed, shape, strict=False)), filters)
        self.check_groups(shape[-1], otherwise=output)
        if self.kernel_init.known is not None and max(shape[-1], filters) > self.groups > 1:
            alone = f"be 1 or as many as channels, {shape[-1]}, and filters under kernel_init {self.kernel_init}"
            raise Misfit("groups", alone, self.groups, otherwise=output)
        self.check_initializers(self._parameters(shape, transposed), otherwise=output)
        return output

    def parameters(self, shape: Shape) -> Tree:
        return dict(self._parameters(shape, self.transposed(shape)))

    def _parameters(self, shape: Shape, transposed: tuple[Transposed, ...]) -> dict[str, Parameter]:
        sizes = (own.window.size for own in transposed)
        return self.kernel_and_bias((*sizes, self.filter_count() // self.groups, shape[-1]))

    def multiply_adds(self, shape: Shape) -> int:
        kernel = self._parameters(shape, self.transposed(shape))["kernel"]
        return math.prod(kernel.shape) * math.prod(shape[:-1])

    def accept(self, at: FeatureMap, output: Shape) -> None:
        super().accept(at, output)
        period = max(field.period * own.window.stride for field, own in self._fields(at))
        check_period("stride", self.stride, period, otherwise=output)

    def output_fields(self, at: FeatureMap) -> tuple[ReceptiveField, ...]:
        along = zip(self._fields(at), at.shape, strict=False)
        return tuple(field.transposed(own, length) for (field, own), length in along)

    def _fields(self, at: FeatureMap) -> Iterator[tuple[ReceptiveField, Transposed]]:
        """The field and the transposed window along each axis."""
        return zip(at.fields, self.transposed(at.shape), strict=True)

    def apply(self, params: Tree, statistics: Tree, x: jax.Array, at: Pass) -> tuple[jax.Array, Tree]:
        shape = x.shape[1:]
        windows = tuple(own.window for own in self.transposed(shape))
        y = conv_transpose(x, params["kernel"], windows, self.output_shape(shape)[:-1], self.groups)
        if self.use_bias:
            y = biased(y, params["bias"])
        return y, statistics

    def nodes(self, graph: Graph, x: str, shape: Shape, values: Tree) -> str:
        transposed = self.transposed(shape)
        windows = [own.window for own in transposed]
        weights = np.moveaxis(np.asarray(values["kernel"]), (-1, -2), (0, 1))  # (c, filters / groups, *spatial)
        biases = (graph.constant(values["bias"], "bias"),) if self.use_bias else ()
        how = sliding.slid(windows) | {"output_padding": [own.added for own in transposed]}
        return graph.node("ConvTranspose", x, graph.constant(weights, "kernel"), *biases, group=self.groups, **how)


def _along(size: int, stride: int, dilation: int, padding: Any, added: int) -> Transposed:
    """The transposed window along one axis."""
    extent = Window(size, stride, dilation).extent
    match padding:
        case "valid":
            low, high = 0, 0
        case "same":  # as TensorFlow has it: the transpose of a convolution with padding same
            cut, added = max(extent - stride, 0), max(stride - extent, 0)
            low, high = cut // 2, cut - cut // 2
        case int():
            low, high = padding, padding
        case _:
            low, high = padding
    return Transposed(Window(size, stride, dilation, low, high), added)
