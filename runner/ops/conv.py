"""Convolution by the fastest lowering for its device, its type and its shape.

A `Lowering` computes the output and both gradients. The reference, XLA's own convolution, supports every case.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from runner.geometry import Window
from runner.ops import lowering, native, portable

Windows = tuple[Window, ...]
Shape = tuple[int, ...]


class Lowering(NamedTuple):
    """Computes `y` (n, *spatial', filters) from `x` (n, *spatial, c) and `kernel` (*spatial, c / groups, filters)."""

    name: str
    serves: Callable[[Shape, Shape, Any, Windows, int], bool]  # x's shape, the kernel's, dtype, windows, groups
    forward: Callable[[jax.Array, jax.Array, Windows, int], jax.Array]  # x, kernel, windows, groups
    input_gradient: Callable[[jax.Array, jax.Array, Shape, Windows, int], jax.Array]  # g, kernel, x's shape, …
    kernel_gradient: Callable[[jax.Array, jax.Array, Shape, Windows, int], jax.Array]  # x, g, the kernel's shape, …


NATIVE = Lowering("native", native.serves, native.forward, native.input_gradient, native.kernel_gradient)

PORTABLE = Lowering("portable", portable.serves, portable.forward, portable.input_gradient, portable.kernel_gradient)

# The lowerings to try on a CPU, in order; if none serves, the reference is used.
_FOR_CPU: dict[lowering.Choice, tuple[Lowering, ...]] = {
    "auto": (NATIVE, PORTABLE),
    "portable": (PORTABLE,),
    "reference": (),
}


_names: ContextVar[list[str] | None] = ContextVar("names", default=None)


@contextmanager
def recorded() -> Iterator[list[str]]:
    """Yields a list, to which each convolution traced in the block adds the name of its lowering."""
    names: list[str] = []
    before = _names.set(names)
    try:
        yield names
    finally:
        _names.reset(before)


def conv(x: jax.Array, kernel: jax.Array, windows: Windows, groups: int = 1) -> jax.Array:
    """Convolves a batch `(n, *spatial, c)` with a kernel `(*spatial, c / groups, filters)`, in the type of `x`."""
    kernel = kernel.astype(x.dtype)
    way = chosen(x.shape, kernel.shape, x.dtype, windows, groups)
    if (names := _names.get()) is not None:
        names.append("reference" if way is None else way.name)
    return _reference(x, kernel, windows, groups) if way is None else _convolved(x, kernel, way, windows, groups)


def conv_transpose(x: jax.Array, kernel: jax.Array, windows: Windows, sizes: Shape, groups: int = 1) -> jax.Array:
    """Transposes the convolution by `windows` that leads from a map of `sizes` to that of `x`, in the type of `x`.

    `(n, *spatial, c)` → `(n, *sizes, filters)`; the kernel is `(*window, filters / groups, c)`. It is the gradient of
    that convolution by its input, and is computed so.
    """
    kernel = kernel.astype(x.dtype)
    shape = (x.shape[0], *sizes, kernel.shape[-2] * groups)
    way = chosen(shape, kernel.shape, x.dtype, windows, groups)
    if (names := _names.get()) is not None:
        names.append("reference" if way is None else way.name)
    if way is not None:
        return _transposed(x, kernel, way, shape, windows, groups)
    output = jax.ShapeDtypeStruct(shape, x.dtype)
    (y,) = jax.linear_transpose(lambda y: _reference(y, kernel, windows, groups), output)(x)
    return jnp.asarray(y)


def chosen(x_shape: Shape, kernel_shape: Shape, dtype: Any, windows: Windows, groups: int) -> Lowering | None:
    """The lowering of a convolution that is traced now; None is the reference."""
    for way in _FOR_CPU[lowering.current()]:
        if way.serves(x_shape, kernel_shape, dtype, windows, groups):
            return way
    return None


def _reference(x: jax.Array, kernel: jax.Array, windows: Windows, groups: int) -> jax.Array:
    spatial = "HW"[2 - len(windows) :]
    return lax.conv_general_dilated(
        x,
        kernel,
        window_strides=[window.stride for window in windows],
        padding=[(window.low, window.high) for window in windows],
        rhs_dilation=[window.dilation for window in windows],
        dimension_numbers=(f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"),
        feature_group_count=groups,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _convolved(x: jax.Array, kernel: jax.Array, way: Lowering, windows: Windows, groups: int) -> jax.Array:
    return way.forward(x, kernel, windows, groups)


def _forward(
    x: jax.Array, kernel: jax.Array, way: Lowering, windows: Windows, groups: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return way.forward(x, kernel, windows, groups), (x, kernel)


def _backward(
    way: Lowering, windows: Windows, groups: int, kept: tuple[jax.Array, jax.Array], g: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = kept
    by_x = way.input_gradient(g, kernel, x.shape, windows, groups)
    return by_x, way.kernel_gradient(x, g, kernel.shape, windows, groups)


_convolved.defvjp(_forward, _backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4, 5))
def _transposed(
    x: jax.Array, kernel: jax.Array, way: Lowering, shape: Shape, windows: Windows, groups: int
) -> jax.Array:
    return way.input_gradient(x, kernel, shape, windows, groups)


def _transposed_forward(
    x: jax.Array, kernel: jax.Array, way: Lowering, shape: Shape, windows: Windows, groups: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return way.input_gradient(x, kernel, shape, windows, groups), (x, kernel)


def _transposed_backward(
    way: Lowering, shape: Shape, windows: Windows, groups: int, kept: tuple[jax.Array, jax.Array], g: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, kernel = kept
    by_x = way.forward(g, kernel, windows, groups)
    return by_x, way.kernel_gradient(g, x, kernel.shape, windows, groups)


_transposed.defvjp(_transposed_forward, _transposed_backward)
