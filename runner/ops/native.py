"""Convolutions and moments by oneDNN on a CPU, through the package in `native/`, if it is installed.

    >>> if native.serves(x.shape, kernel.shape, x.dtype, windows, groups):
    ...     y = native.forward(x, kernel, windows, groups)

The calls have no derivatives; callers define them. They support `jit`, loops and `vmap`; under `vmap` each member gets
exactly the result that it gets alone.
"""

import functools
import importlib
import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from runner.geometry import Window

_PACKAGE = "convrunner_native"

Windows = tuple[Window, ...]
Sizes = tuple[int, ...]


def available() -> bool:
    """Whether the package is installed and compatible; if not, one line is logged, once."""
    return _package() is not None


@functools.cache
def _package() -> ModuleType | None:
    """The package, with its handlers registered in XLA; None if it cannot be used."""
    log = logging.getLogger(__name__)
    try:
        package = importlib.import_module(_PACKAGE)
    except ModuleNotFoundError as error:
        if error.name != _PACKAGE:
            log.warning("native convolutions cannot be loaded (%s); using the portable ones", error)
        else:
            log.info("native convolutions are not installed (pip install ./native); using the portable ones")
        return None
    except Exception as error:  # noqa: BLE001 - a missing library, or one built for another jaxlib
        log.warning("native convolutions cannot be loaded (%s); using the portable ones", error)
        return None
    try:
        # Start the CPU backend first: a bad handler then fails when it is registered, not when JAX starts.
        jax.local_devices(backend="cpu")
        for name, handler in package.targets().items():
            jax.ffi.register_ffi_target(name, handler, platform="cpu")
    except Exception as error:  # noqa: BLE001 - XLA refuses handlers with another interface version
        log.warning("native convolutions do not fit this jaxlib (%s); using the portable ones", error)
        return None
    return package


def serves(x_shape: Sizes, kernel_shape: Sizes, dtype: Any, windows: Windows, groups: int) -> bool:
    """Whether oneDNN computes this convolution and both its gradients by more than plain loops."""
    package = _package()
    if package is None or len(windows) not in (1, 2) or 0 in (*x_shape, *kernel_shape):
        return False
    if dtype == jnp.bfloat16:
        if not package.multiplies_bfloat16():
            return False
    elif dtype != jnp.float32:
        return False
    positions = _positions(x_shape, windows)
    if min(positions) < 1:
        return False
    n, h, w, c = _image_axes(x_shape)
    kernel_h, kernel_w, _, filters = _kernel_axes(kernel_shape)
    slid = (n, h, w, c, *(1, *positions)[-2:], filters, kernel_h, kernel_w, groups, *_numbers(windows))
    return bool(package.serves(*slid, int(dtype == jnp.bfloat16)))


def forward(x: jax.Array, kernel: jax.Array, windows: Windows, groups: int) -> jax.Array:
    """The convolution of `x` (n, *spatial, c) with `kernel` (*spatial, c / groups, filters)."""
    shape = (x.shape[0], *_positions(x.shape, windows), kernel.shape[-1])
    return _call("forward", _image_axes(shape), (_images(x), _kernel(kernel)), windows, groups).reshape(shape)


def input_gradient(g: jax.Array, kernel: jax.Array, input_shape: Sizes, windows: Windows, groups: int) -> jax.Array:
    """The gradient with respect to the input, given that of the output, `g` (n, *spatial', filters)."""
    arrays = (_images(g), _kernel(kernel))
    dx = _call("input_gradient", _image_axes(input_shape), arrays, windows, groups)
    return dx.reshape(input_shape)


def kernel_gradient(x: jax.Array, g: jax.Array, kernel_shape: Sizes, windows: Windows, groups: int) -> jax.Array:
    """The gradient with respect to the kernel, given that of the output, `g` (n, *spatial', filters)."""
    arrays = (_images(x), _images(g))
    gradient = _call("kernel_gradient", _kernel_axes(kernel_shape), arrays, windows, groups)
    return gradient.reshape(kernel_shape)


def moments(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and biased variance of every column of `x` (rows, c), float32 (c,), in one pass over memory."""
    columns = jax.ShapeDtypeStruct(x.shape[-1:], jnp.float32)
    mean, variance = _handler("moments", (columns, columns))(x)
    return mean, variance


def _call(name: str, shape: Sizes, arrays: tuple[jax.Array, ...], windows: Windows, groups: int) -> jax.Array:
    call = _handler(name, jax.ShapeDtypeStruct(shape, arrays[0].dtype))
    result: jax.Array = call(*arrays, window=np.asarray(_numbers(windows), np.int64), groups=np.int64(groups))
    return result


def _handler(name: str, answer: Any) -> Callable[..., Any]:
    assert available(), "callers check `available` first"
    # An operand shared by all members of a vmap has an axis of size 1, so that it is not copied.
    return jax.ffi.ffi_call(f"convrunner_{name}", answer, vmap_method="expand_dims")


def _positions(x_shape: Sizes, windows: Windows) -> Sizes:
    return tuple(window.output_size(size) for window, size in zip(windows, x_shape[1:-1], strict=True))


def _numbers(windows: Windows) -> Sizes:
    """Strides, dilations, padding before and padding after, for two axes each."""
    two = (Window(1), *windows)[-2:]
    return tuple(getattr(window, field) for field in ("stride", "dilation", "low", "high") for window in two)


# One spatial axis is extended to two; the first has one pixel.


def _image_axes(shape: Sizes) -> Sizes:
    return shape if len(shape) == 4 else (shape[0], 1, *shape[1:])


def _kernel_axes(shape: Sizes) -> Sizes:
    return shape if len(shape) == 4 else (1, *shape)


def _images(x: jax.Array) -> jax.Array:
    return x.reshape(_image_axes(x.shape))


def _kernel(kernel: jax.Array) -> jax.Array:
    return kernel.reshape(_kernel_axes(kernel.shape))
