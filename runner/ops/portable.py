"""Fast convolutions on a CPU, built from XLA's operations, with a separate rule for the output and each gradient.

Times on two cores at batch 128, float32, compared with the plain convolutions (benchmarks/lowerings.py):

- Few input channels: neighbouring columns are folded into channels. 32×32×1 with six 5×5 filters: 0.6 ms instead of
  2.6 ms; gradient of the kernel: 0.9 ms instead of 1.6 ms.
- Gradient of an input with few channels: a product with a band matrix, which contains the kernel once for every output
  column. 14×14×6 with sixteen 5×5 filters: 0.9 ms instead of 2.3 ms. Otherwise a convolution with the flipped kernel.
- Gradient of the kernel: XLA needs the batch on the channel axis. It fuses this transposition with earlier operations,
  and then reads memory with long strides (up to 38 ms for 8 MB). Inside a loop it does not use its fast convolution
  (786 ms instead of 9 ms). So the operands are transposed separately, in pieces that fit into a cache, and passed to a
  plain convolution: 32×32×16 with sixteen 3×3 filters takes 6.5 ms, inside a loop or not.

Folding and bands also multiply by zeros, so a value that is not finite also affects neighbouring columns that it would
not affect in a plain convolution.
"""

import functools
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from runner.geometry import Window

Windows = tuple[Window, ...]
Shape = tuple[int, ...]

# Limits on the channels and filters after folding, by number of folded columns.
_FOLDED_CHANNELS: Final = 16
_FOLDED_FILTERS: Final = {4: 64, 2: 128}
_MOST_ROW: Final = 128  # values in a row of the input, up to which a band matrix is used
_FEW_CHANNELS: Final = 8
# Limits for cutting the batch into pieces.
_MOST_PIECES: Final = 16
LEAST_PIECE: Final = 8  # images
LARGE: Final = 2**19  # values of the input


def serves(x_shape: Shape, kernel_shape: Shape, dtype: Any, windows: Windows, groups: int) -> bool:
    """Whether this module supports a convolution: without groups, and not empty."""
    if groups != 1 or len(windows) not in (1, 2) or 0 in (*x_shape, *kernel_shape):
        return False
    positions = (window.output_size(size) for window, size in zip(windows, x_shape[1:-1], strict=True))
    return min(positions) > 0 and dtype in (jnp.float32, jnp.bfloat16)


def forward(x: jax.Array, kernel: jax.Array, windows: Windows, groups: int) -> jax.Array:
    """The convolution of `x` (n, *spatial, c) with `kernel` (*spatial, c, filters)."""
    for columns in (4, 2):
        if _folds(columns, kernel.shape, windows[-1]):
            fold = _Fold(columns, windows[-1].size, windows[-1].output_size(x.shape[-2]))
            folded = (*windows[:-1], Window(fold.window))
            padded = _extended(x, -2, windows[-1].low, windows[-1].high)
            return fold.output(_plain(fold.of_input(padded), fold.of_kernel(kernel), folded))
    return _plain(x, kernel, windows)


def input_gradient(g: jax.Array, kernel: jax.Array, input_shape: Shape, windows: Windows, groups: int) -> jax.Array:
    """The gradient with respect to the input, given that of the output, `g` (n, *spatial', filters)."""
    *_, width, channels = input_shape
    # If the window is much narrower than the row, the band matrix is mostly zeros.
    narrow = width > 6 * kernel.shape[-3] or width * channels > _MOST_ROW or channels > _FEW_CHANNELS
    if not narrow:
        return _banded(g, kernel, input_shape, windows)
    return _turned(g, kernel, input_shape, windows)


def kernel_gradient(x: jax.Array, g: jax.Array, kernel_shape: Shape, windows: Windows, groups: int) -> jax.Array:
    """The gradient with respect to the kernel, given that of the output, `g` (n, *spatial', filters)."""
    columns = 4 if kernel_shape[-2] == 1 else 2  # for three channels, two columns are faster than four
    if not _folds(columns, kernel_shape, windows[-1]):
        return _correlated(x, g, kernel_shape[:-2], windows).astype(x.dtype)
    fold = _Fold(columns, windows[-1].size, g.shape[-2])
    folded = (*windows[:-1], Window(fold.window))
    padded = _extended(x, -2, windows[-1].low, windows[-1].high)
    sizes = (*kernel_shape[:-3], fold.window)
    found = _correlated(fold.of_input(padded), fold.of_output(g), sizes, folded)
    return fold.kernel(found, kernel_shape[-2]).astype(x.dtype)


def _correlated(x: jax.Array, g: jax.Array, sizes: Shape, windows: Windows) -> jax.Array:
    """The gradient with respect to a kernel with a window of `sizes`, float32."""
    pieces = _MOST_PIECES if x.size >= LARGE else 1
    while pieces > 1 and (len(x) % pieces or len(x) // pieces < LEAST_PIECE):
        pieces //= 2
    x = _padded(x, windows)
    axes = tuple(range(2, x.ndim))  # the spatial ones of (pieces, n, *spatial, c)
    cut_x, cut_g = (array.reshape(pieces, -1, *array.shape[1:]) for array in (x, g))
    by_channel = jnp.transpose(cut_x, (0, x.ndim, *axes, 1))  # (pieces, c, *spatial, n)
    by_position = jnp.transpose(cut_g, (0, *axes, 1, x.ndim))  # (pieces, *spatial', n, filters)
    by_channel, by_position = lax.optimization_barrier((by_channel, by_position))
    # The gradient is the kernel here, so strides and dilations are exchanged.
    slid = tuple(Window(1, stride=window.dilation, dilation=window.stride) for window in windows)
    parts = [_plain(by_channel[i], by_position[i], slid, jnp.float32) for i in range(pieces)]
    total = functools.reduce(jnp.add, parts)
    taps = tuple(slice(size) for size in sizes)  # there are more if a stride leaves pixels unused
    return jnp.moveaxis(total[(slice(None), *taps)], 0, -2)  # (*spatial, c, filters)


def _plain(x: jax.Array, kernel: jax.Array, windows: Windows, wide: Any = None, between: Shape = ()) -> jax.Array:
    """XLA's convolution; `between` is the distance of the pixels of `x`, 1 for adjacent pixels."""
    spatial = "HW"[2 - len(windows) :]
    y: jax.Array = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=[window.stride for window in windows],
        padding=[(window.low, window.high) for window in windows],
        lhs_dilation=between or None,
        rhs_dilation=[window.dilation for window in windows],
        dimension_numbers=(f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"),
        preferred_element_type=wide,
    )
    return y


def _padded(x: jax.Array, windows: Windows) -> jax.Array:
    around = [(0, 0, 0), *((window.low, window.high, 0) for window in windows), (0, 0, 0)]
    return lax.pad(x, jnp.zeros((), x.dtype), around)


# Folding: neighbouring columns become channels of one column. The folded kernel contains the kernel once for each of
# these columns, shifted by one column each. The output is folded in the same way and is unfolded by a reshape.


def _folds(columns: int, kernel_shape: Shape, across: Window) -> bool:
    """Whether `columns` columns can be folded into one, and the folded channels are few."""
    *_, channels, filters = kernel_shape
    return (
        across.stride == across.dilation == 1
        and columns * channels <= _FOLDED_CHANNELS
        and columns * filters <= _FOLDED_FILTERS[columns]
    )


class _Fold(NamedTuple):
    """Folds `columns` neighbouring output columns into one, for a window of `size`."""

    columns: int
    size: int
    wide: int  # columns of the output, unfolded

    @property
    def blocks(self) -> int:
        """Columns of the folded output."""
        return -(-self.wide // self.columns)

    @property
    def window(self) -> int:
        """Columns under the folded window."""
        return -(-(self.columns - 1 + self.size) // self.columns)

    def of_input(self, padded: jax.Array) -> jax.Array:
        """(…, w, c), already padded, to (…, blocks + window − 1, columns · c)."""
        *before, width, channels = padded.shape
        wanted = self.blocks + self.window - 1
        filled = _extended(padded, -2, 0, wanted * self.columns - width)
        return filled.reshape(*before, wanted, self.columns * channels)

    def of_output(self, y: jax.Array) -> jax.Array:
        """(…, w', f) to (…, blocks, columns · f)."""
        filled = _extended(y, -2, 0, self.blocks * self.columns - self.wide)
        return filled.reshape(*y.shape[:-2], self.blocks, self.columns * y.shape[-1])

    def output(self, folded: jax.Array) -> jax.Array:
        """The inverse of `of_output`."""
        unfolded = folded.reshape(*folded.shape[:-2], self.blocks * self.columns, -1)
        return lax.slice_in_dim(unfolded, 0, self.wide, axis=folded.ndim - 2)

    def of_kernel(self, kernel: jax.Array) -> jax.Array:
        """(…, size, c, f) to (…, window, columns · c, columns · f)."""
        *before, _, channels, filters = kernel.shape
        wide = self.window * self.columns
        copies = [_extended(kernel, -3, first, wide - self.size - first) for first in range(self.columns)]
        stacked = jnp.stack(copies, axis=-2)  # (…, wide, c, columns, f)
        return stacked.reshape(*before, self.window, self.columns * channels, self.columns * filters)

    def kernel(self, folded: jax.Array, channels: int) -> jax.Array:
        """The gradient of a kernel from that of its folded form: the sum over its copies."""
        *before, _, _, filters = folded.shape
        wide = folded.reshape(*before, self.window * self.columns, channels, self.columns, filters // self.columns)
        axis = len(before)
        parts = [
            lax.slice_in_dim(wide, first, first + self.size, axis=axis)[..., first, :] for first in range(self.columns)
        ]
        return functools.reduce(jnp.add, parts)


def _extended(array: jax.Array, axis: int, low: int, high: int) -> jax.Array:
    """Adds zeros before and after along one axis; a negative `high` removes values."""
    around = [(0, 0, 0)] * array.ndim
    around[axis] = (low, high, 0)
    return lax.pad(array, jnp.zeros((), array.dtype), around)


def _turned(g: jax.Array, kernel: jax.Array, input_shape: Shape, windows: Windows) -> jax.Array:
    """Convolves the gradient, dilated by the strides, with the flipped kernel."""
    around = []
    for window, size, count in zip(windows, input_shape[1:-1], g.shape[1:-1], strict=True):
        extent = (window.size - 1) * window.dilation
        low = extent - window.low
        spread = (count - 1) * window.stride + 1
        around.append(Window(1, dilation=window.dilation, low=low, high=size + extent - low - spread))
    axes = tuple(range(len(windows)))
    turned = jnp.swapaxes(jnp.flip(kernel, axes), -1, -2)
    turned = lax.optimization_barrier(turned)  # otherwise XLA treats it as one of its own gradients
    return _plain(g, turned, tuple(around), between=tuple(window.stride for window in windows))


def _banded(g: jax.Array, kernel: jax.Array, input_shape: Shape, windows: Windows) -> jax.Array:
    """Multiplies rows of the gradient by the band matrix of each kernel row, and adds the products at their rows."""
    if len(windows) == 1:
        g, kernel, windows = g[:, None], kernel[None], (Window(1), *windows)
    *_, width, channels = input_shape
    height = input_shape[1] if len(input_shape) == 4 else 1
    down, across = windows
    (n, rows, columns, filters), taps = g.shape, down.size
    padded = across.low + width + across.high
    # One copy of the kernel for every output column, at the input columns of its window.
    copies = [
        lax.pad(
            kernel,
            jnp.zeros((), kernel.dtype),
            [(0, 0, 0), (first, padded - first - extent, across.dilation - 1), (0, 0, 0), (0, 0, 0)],
        )
        for extent in [(across.size - 1) * across.dilation + 1]
        for first in (column * across.stride for column in range(columns))
    ]
    band = jnp.stack(copies)[:, :, across.low : across.low + width]  # (columns, taps, width, c, filters)
    band = jnp.transpose(band, (0, 4, 1, 2, 3)).reshape(columns * filters, taps * width * channels)
    product = lax.dot(g.reshape(n * rows, columns * filters), band, preferred_element_type=jnp.float32)
    product = product.reshape(n, rows, taps, width * channels)
    total = jnp.zeros((n, height, width * channels), jnp.float32)
    for tap in range(taps):
        first = tap * down.dilation - down.low
        after = height - first - (rows - 1) * down.stride - 1
        placement = [(0, 0, 0), (first, after, down.stride - 1), (0, 0, 0)]
        total = total + lax.pad(product[:, :, tap], jnp.zeros((), jnp.float32), placement)
    return total.reshape(input_shape).astype(g.dtype)
