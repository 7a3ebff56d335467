"""Convolutions and moments by oneDNN, on a CPU where the distribution in `native/` is installed: a thin way to it.

    >>> if native.serves(x.shape, kernel.shape, x.dtype, windows, groups):
    ...     y = native.forward(x, kernel, windows, groups)

Its calls have no derivatives; who uses them gives their own. They know `jit`, loops and `vmap`, and a member of a
vmap gets the bits that it gets alone.
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
    """Whether the package is there and fits; where it is not, one line of the log says so, once."""
    return _package() is not None


@functools.cache
def _package() -> ModuleType | None:
    """The package, its handlers known to XLA."""
    log = logging.getLogger(__name__)
    try:
        package = importlib.import_module(_PACKAGE)
    except ModuleNotFoundError as error:
        if error.name != _PACKAGE:
            log.warning("native convolutions do not load (%s); the portable ones serve", error)
        else:
            log.info("native convolutions are not installed (pip install ./native); the portable ones serve")
        return None
    except Exception as error:  # noqa: BLE001 - a library that is missing, or was built for another jaxlib
        log.warning("native convolutions do not load (%s); the portable ones serve", error)
        return None
    try:
        # XLA refuses here what does not fit; of what it is told before it has begun, it would refuse to begin.
        jax.local_devices(backend="cpu")
        for name, handler in package.targets().items():
            jax.ffi.register_ffi_target(name, handler, platform="cpu")
    except Exception as error:  # noqa: BLE001 - XLA refuses handlers of another interface than its own
        log.warning("native convolutions do not fit this jaxlib (%s); the portable ones serve", error)
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
    """The gradient by the input, for that by the output `g` (n, *spatial', filters)."""
    arrays = (_images(g), _kernel(kernel))
    dx = _call("input_gradient", _image_axes(input_shape), arrays, windows, groups)
    return dx.reshape(input_shape)


def kernel_gradient(x: jax.Array, g: jax.Array, kernel_shape: Sizes, windows: Windows, groups: int) -> jax.Array:
    """The gradient by the kernel, for that by the output `g` (n, *spatial', filters)."""
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
    assert available(), "whoever calls has asked whether the package is there"
    # Members of a vmap share an operand as an axis of one element, and are told apart in place.
    return jax.ffi.ffi_call(f"convrunner_{name}", answer, vmap_method="expand_dims")


def _positions(x_shape: Sizes, windows: Windows) -> Sizes:
    return tuple(window.output_size(size) for window, size in zip(windows, x_shape[1:-1], strict=True))


def _numbers(windows: Windows) -> Sizes:
    """Strides, dilations, padding before and padding after, of two axes each."""
    two = (Window(1), *windows)[-2:]
    return tuple(getattr(window, field) for field in ("stride", "dilation", "low", "high") for window in two)


# One spatial axis is two, the first of one pixel.


def _image_axes(shape: Sizes) -> Sizes:
    return shape if len(shape) == 4 else (shape[0], 1, *shape[1:])


def _kernel_axes(shape: Sizes) -> Sizes:
    return shape if len(shape) == 4 else (1, *shape)


def _images(x: jax.Array) -> jax.Array:
    return x.reshape(_image_axes(x.shape))


def _kernel(kernel: jax.Array) -> jax.Array:
    return kernel.reshape(_kernel_axes(kernel.shape))
