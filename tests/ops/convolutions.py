"""Convolutions for tests: their arrays, what XLA makes of them, and what another way makes of them."""

import importlib.util
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from jax import lax

from runner.geometry import Window
from runner.ops import native

installed = pytest.mark.skipif(
    importlib.util.find_spec("convrunner_native") is None,
    reason="native convolutions are not installed: `make native` builds them",
)


class Case(NamedTuple):
    """A convolution of some shape."""

    x: tuple[int, ...]
    kernel: tuple[int, ...]
    windows: tuple[Window, ...]
    groups: int = 1

    def arrays(self, seed: int = 0, *, whole: bool = False) -> tuple[jax.Array, jax.Array, jax.Array]:
        """An input, a kernel and an output's gradient; `whole` numbers add up exactly in whatever order."""
        rng = np.random.default_rng(seed)
        y = (
            self.x[0],
            *(window.output_size(size) for window, size in zip(self.windows, self.x[1:-1], strict=True)),
            self.kernel[-1],
        )
        draw = (lambda shape: rng.integers(-4, 5, shape)) if whole else (lambda shape: rng.normal(size=shape))
        x, kernel, g = (jnp.asarray(draw(shape), jnp.float32) for shape in (self.x, self.kernel, y))
        return x, kernel, g

    def all(
        self, x: jax.Array, kernel: jax.Array, g: jax.Array, way: Any = native
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The output and both gradients by one of the ways."""
        return (
            way.forward(x, kernel, self.windows, self.groups),
            way.input_gradient(g, kernel, self.x, self.windows, self.groups),
            way.kernel_gradient(x, g, self.kernel, self.windows, self.groups),
        )

    def compiled(
        self, x: jax.Array, kernel: jax.Array, g: jax.Array, way: Any = native
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The same as one program, which is made faster than a program for every operation."""
        return jax.jit(lambda *arrays: self.all(*arrays, way))(x, kernel, g)

    def reference(self, x: jax.Array, kernel: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The same by NumPy, tap by tap in float64: a convolution as textbooks write it."""
        wide = [np.asarray(array, np.float64) for array in (x, kernel, g)]
        padded = np.pad(wide[0], [(0, 0), *((window.low, window.high) for window in self.windows), (0, 0)])
        y, dx, dk = np.zeros(g.shape), np.zeros(padded.shape), np.zeros(kernel.shape)
        for tap in np.ndindex(*self.kernel[: len(self.windows)]):
            seen = [
                slice(start := index * window.dilation, start + (count - 1) * window.stride + 1, window.stride)
                for index, window, count in zip(tap, self.windows, g.shape[1:-1], strict=True)
            ]
            for group in range(self.groups):
                own = slice(group * self.kernel[-2], (group + 1) * self.kernel[-2])
                filters = self.kernel[-1] // self.groups
                made = slice(group * filters, (group + 1) * filters)
                under, weights, above = padded[(slice(None), *seen, own)], wide[1][tap][:, made], wide[2][..., made]
                y[..., made] += under @ weights
                dx[(slice(None), *seen, own)] += above @ weights.T
                dk[tap][:, made] += np.tensordot(under, above, axes=(range(x.ndim - 1),) * 2)
        inside = [
            slice(window.low, window.low + size) for window, size in zip(self.windows, x.shape[1:-1], strict=True)
        ]
        return jnp.float32(y), jnp.float32(dx[(slice(None), *inside)]), jnp.float32(dk)

    def plain(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        spatial = "HW"[2 - len(self.windows) :]
        return lax.conv_general_dilated(
            x,
            kernel,
            window_strides=[window.stride for window in self.windows],
            padding=[(window.low, window.high) for window in self.windows],
            rhs_dilation=[window.dilation for window in self.windows],
            dimension_numbers=(f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"),
            feature_group_count=self.groups,
        )


@st.composite
def cases(draw: st.DrawFn, most_groups: int = 3) -> Case:
    """A convolution over one or two axes that has at least one position."""
    groups, axes = draw(st.integers(1, most_groups)), draw(st.integers(1, 2))
    c, filters = (groups * draw(st.integers(1, 18)) for _ in range(2))
    windows, sizes = [], []
    for _ in range(axes):
        size, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        low, high = draw(st.integers(0, 4)), draw(st.integers(0, 4))
        windows.append(Window(size, draw(st.integers(1, 3)), dilation, low, high))
        sizes.append(draw(st.integers(max(1, windows[-1].extent - low - high), 13)))
    kernel = (*(window.size for window in windows), c // groups, filters)
    return Case((draw(st.integers(1, 7)), *sizes, c), kernel, tuple(windows), groups)


SQUARE = Case((6, 12, 12, 5), (3, 3, 5, 8), (Window(3, 1, 1, 1, 1),) * 2)
STRIDED = Case((5, 11, 9, 6), (3, 2, 3, 8), (Window(3, 2, 1, 1, 0), Window(2, 1, 2, 0, 2)), groups=2)
LINE = Case((4, 20, 3), (5, 3, 7), (Window(5, 2, 1, 4, 0),))
CASES = [SQUARE, STRIDED, LINE]


def assert_same(ours: Any, theirs: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
