"""The arguments of all layers with a sliding window, and the windows that they give on an input."""

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from pydantic import BeforeValidator, WithJsonSchema

from runner import geometry, limits
from runner.errors import shown
from runner.geometry import Window
from runner.layers.base import Fallback, Misfit, Shape, shape_text

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]
_NAMED_PADDINGS = ("valid", "same", "full", "causal")
_NAMED_CUTS = ("valid", "same")
_PAD_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}

PerAxis = int | tuple[int, ...]


def _whole_numbers(value: Any, least: int) -> bool:
    values = value if isinstance(value, tuple) and value else (value,)
    return all(isinstance(item, int) and not isinstance(item, bool) and item >= least for item in values)


def _per_axis(least: int) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool) and value < least:
            raise ValueError(f"must be ≥ {least}, got {value}")
        _check_largest(value)
        if not _whole_numbers(value, least) or (isinstance(value, tuple) and len(value) > 2):
            raise ValueError(f"must be a whole number ≥ {least}, or one for each axis as in [3, 3], got {shown(value)}")
        return value

    return check


def _check_largest(value: Any) -> None:
    """Raises ValueError if the number, or one inside, exceeds the limit."""
    for item in value if isinstance(value, tuple) else ():
        _check_largest(item)
    if isinstance(value, int) and value > limits.WINDOW_PIXELS:
        raise ValueError(f"must be ≤ {limits.WINDOW_PIXELS}, got {value}")


def _padding(named: tuple[str, ...]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, str) and value in named:
            return value
        _check_largest(value)
        pairs = isinstance(value, tuple) and all(isinstance(item, tuple) and len(item) == 2 for item in value)
        numbers = [number for pair in value for number in pair] if pairs else value
        if not all(_whole_numbers(item, 0) for item in numbers) if pairs else not _whole_numbers(value, 0):
            forms = f"{', '.join(named)}, pixels, [h, w] or [[top, bottom], [left, right]]"
            raise ValueError(f"must be {forms}, got {shown(value)}")
        return value

    return check


_PADDED = {"type": "integer", "minimum": 0, "maximum": limits.WINDOW_PIXELS}
_PIXELS = {"type": "array", "items": _PADDED, "minItems": 1, "maxItems": 2}


def _per_axis_schema(least: int) -> WithJsonSchema:
    number = {"type": "integer", "minimum": least, "maximum": limits.WINDOW_PIXELS}
    return WithJsonSchema({"anyOf": [number, {"type": "array", "items": number, "minItems": 1, "maxItems": 2}]})


def _padding_schema(named: tuple[str, ...]) -> WithJsonSchema:
    pairs = {"type": "array", "items": _PIXELS, "minItems": 1, "maxItems": 2}
    return WithJsonSchema({"anyOf": [{"enum": list(named)}, _PADDED, _PIXELS, pairs]})


Pixels = Annotated[PerAxis, BeforeValidator(_per_axis(1)), _per_axis_schema(1)]
PixelsOrNone = Annotated[PerAxis, BeforeValidator(_per_axis(0)), _per_axis_schema(0)]
PaddingField = Annotated[
    Literal["valid", "same", "full", "causal"] | int | tuple[int, ...] | tuple[tuple[int, int], ...],
    BeforeValidator(_padding(_NAMED_PADDINGS)),
    Fallback("full"),
    _padding_schema(_NAMED_PADDINGS),
]
CutField = Annotated[
    Literal["valid", "same"] | int | tuple[int, ...] | tuple[tuple[int, int], ...],
    BeforeValidator(_padding(_NAMED_CUTS)),
    Fallback("valid"),
    _padding_schema(_NAMED_CUTS),
]


def each_axis(shape: Shape, field: str, value: Any, *, otherwise: Shape) -> tuple[Any, ...]:
    """The value of a field for each spatial axis of `shape`; one value stands for all. Raises Misfit."""
    axes = len(shape) - 1
    if axes not in (1, 2):
        raise Misfit("", "have an input of one or two spatial axes", shape_text(shape), otherwise=otherwise)
    values = value if isinstance(value, tuple) else (value,) * axes
    if len(values) != axes:
        raise Misfit(field, f"give one value for each of {axes} axes", value, otherwise=otherwise)
    return values


def check_period(field: str, value: Any, period: int, *, otherwise: Shape) -> None:
    """Raises Misfit if receptive fields would have too long a period of positions."""
    if period > limits.FIELD_PERIOD:
        rule = f"come to at most {limits.FIELD_PERIOD:,} with the upsamplings before it"
        raise Misfit(field, rule, value, otherwise=otherwise)


def slide(
    shape: Shape,
    *,
    name: str,
    size: PerAxis,
    otherwise: Shape,
    stride: PerAxis = 1,
    dilation: PerAxis = 1,
    padding: Any = "valid",
    padding_mode: PaddingMode = "zeros",
    ceil_mode: bool = False,
    must_fit: bool = True,
) -> tuple[Window, ...]:
    """The window along each spatial axis of `shape`. Raises Misfit, naming the field (`name` is that of the size)."""
    axes = len(shape) - 1

    def each(field: str, value: Any) -> tuple[Any, ...]:
        return each_axis(shape, field, value, otherwise=otherwise)

    sizes = each(name, size)
    strides, dilations, paddings = each("stride", stride), each("dilation", dilation), each("padding", padding)
    if padding == "causal" and axes != 1:
        raise Misfit("padding", "not be causal over two axes", "causal", otherwise=otherwise)
    windows = tuple(
        geometry.window(
            sizes[axis],
            axis_size=shape[axis],
            padding=paddings[axis],
            stride=strides[axis],
            dilation=dilations[axis],
            ceil_mode=ceil_mode,
        )
        for axis in range(axes)
    )
    _check_padding(shape, windows, padding, padding_mode, otherwise)
    if must_fit and not all(window.fits(length) for window, length in zip(windows, shape, strict=False)):
        extents = tuple(window.extent for window in windows)
        needs = max(window.extent - window.low - window.high for window in windows)
        rule = f"fit the {shape_text(shape)} input"
        raise Misfit(name, rule, shape_text(extents), otherwise=otherwise, needs=needs)
    return windows


def _check_padding(
    shape: Shape, windows: tuple[Window, ...], padding: Any, padding_mode: PaddingMode, otherwise: Shape
) -> None:
    """Raises Misfit if there are too few pixels to reflect or repeat, or the padded input is too large."""
    padded = math.prod(window.low + length + window.high for window, length in zip(windows, shape, strict=False))
    if (
        math.prod(shape) <= limits.ARRAY_VALUES < padded * shape[-1]
    ):  # an input that is already too large is reported elsewhere
        rule = f"pad the input to at most {limits.ARRAY_VALUES} values"
        raise Misfit("padding", rule, padded * shape[-1], otherwise=otherwise)
    for window, length in zip(windows, shape, strict=False):
        most = {"reflect": length - 1, "circular": length}.get(padding_mode)
        if most is not None and max(window.low, window.high) > most:
            rule = f"be at most {most} pixels under padding_mode {padding_mode}"
            raise Misfit("padding", rule, padding, otherwise=otherwise)


def output_spatial(shape: Shape, windows: tuple[Window, ...]) -> Shape:
    """The spatial part of the output shape of `windows`."""
    return tuple(window.output_size(length) for window, length in zip(windows, shape, strict=False))


def pad(x: jax.Array, windows: tuple[Window, ...], padding_mode: PaddingMode) -> tuple[jax.Array, tuple[Window, ...]]:
    """Pads a batch `(n, *spatial, c)` unless by zeros. Returns it with the windows that remain to be applied."""
    if padding_mode == "zeros" or not any(window.low or window.high for window in windows):
        return x, windows
    amounts = ((0, 0), *((window.low, window.high) for window in windows), (0, 0))
    unpadded = tuple(Window(window.size, window.stride, window.dilation) for window in windows)
    # In float32: the gradient of a repeated pixel is the sum over its copies.
    padded = jnp.pad(x.astype(jnp.float32), amounts, mode=_PAD_MODES[padding_mode])
    return padded.astype(x.dtype), unpadded
