"""Max pooling against XLA's window reduction and its search for the winner, and against PyTorch's rule for ties."""

import math
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from runner.geometry import Window
from runner.ops import max_pool as op
from runner.ops.lowering import lowered


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[Window, ...]]:
    """A shape (n, *spatial, c), and windows that fit it."""
    axes = draw(st.integers(1, 2))
    found, sizes = [], []
    for _ in range(axes):
        size, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 2))
        extent = dilation * (size - 1) + 1
        low, high = draw(st.integers(0, extent - 1)), draw(st.integers(0, extent - 1))
        found.append(Window(size, draw(st.integers(1, 4)), dilation, low, high))
        sizes.append(draw(st.integers(max(1, extent - low - high), 9)))
    return (2, *sizes, 3), tuple(found)


def remembered(x: jax.Array, slid: tuple[Window, ...]) -> jax.Array:
    """Max pooling that remembers which tap won."""
    with lowered("portable"):
        return op.max_pool(x, slid)


def reduced(x: jax.Array, slid: tuple[Window, ...]) -> jax.Array:
    """XLA's own reduction over windows."""
    found: jax.Array = lax.reduce_window(
        x,
        np.asarray(-np.inf, x.dtype),
        lax.max,
        window_dimensions=(1, *(window.size for window in slid), 1),
        window_strides=(1, *(window.stride for window in slid), 1),
        padding=((0, 0), *((window.low, window.high) for window in slid), (0, 0)),
        window_dilation=(1, *(window.dilation for window in slid), 1),
    )
    return found


def pulled(
    pool: Callable[..., jax.Array], x: jax.Array, slid: tuple[Window, ...], g: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The largest values and the gradient by the input: one program, which is new since the lowering may differ."""

    @jax.jit
    def program(x: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, pull = jax.vjp(lambda x: pool(x, slid), x)
        return y, pull(g)[0]

    found: tuple[jax.Array, jax.Array] = program(x, g)
    return found


def positions(shape: tuple[int, ...], slid: tuple[Window, ...]) -> tuple[int, ...]:
    sizes = (window.output_size(size) for window, size in zip(slid, shape[1:-1], strict=True))
    return (shape[0], *sizes, shape[-1])


@pytest.mark.slow
@given(windows(), st.integers(0, 2**32 - 1))
@settings(max_examples=12)
def test_equals_the_window_reduction_and_its_gradient(
    case: tuple[tuple[int, ...], tuple[Window, ...]], seed: int
) -> None:
    shape, slid = case
    # Distinct values, so that which one wins is no matter of taste.
    x = jnp.asarray(np.random.default_rng(seed).permutation(np.prod(shape)).reshape(shape), jnp.float32)
    g = jnp.asarray(np.random.default_rng(seed).integers(-9, 9, positions(shape, slid)), jnp.float32)
    if any(window.dilation > 1 for window in slid):  # XLA has no gradient to compare with
        np.testing.assert_array_equal(pulled(remembered, x, slid, g)[0], reduced(x, slid))
    else:
        for ours, theirs in zip(pulled(remembered, x, slid, g), pulled(reduced, x, slid, g), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_the_gradient_of_dilated_windows_goes_to_the_maximum() -> None:
    x = jnp.asarray([3.0, 9.0, 1.0, 4.0, 2.0]).reshape(1, 5, 1)
    gradient = jax.grad(lambda x: jnp.sum(op.max_pool(x, (Window(2, 1, 2),))))(x)  # pairs (3, 1), (9, 4), (1, 2)
    np.testing.assert_array_equal(gradient.ravel(), [1, 1, 0, 0, 1])


def test_dilation_keeps_its_gradient_however_many_taps_there_are() -> None:
    x = jnp.arange(60, dtype=jnp.float32).reshape(1, 60, 1)
    slid = (Window(30, 1, 2),)
    _, gradient = pulled(op.max_pool, x, slid, jnp.ones(positions(x.shape, slid)))
    assert gradient.sum() == math.prod(positions(x.shape, slid))


@pytest.fixture(params=["reference", "portable"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """By XLA's own reduction, and by remembering."""
    with lowered(request.param):
        yield request.param


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_tie_goes_to_the_first_of_the_equal_values_and_to_no_other(way: str, dtype: jnp.dtype) -> None:
    slid = (Window(2, 2), Window(2, 2))
    gradient = jax.grad(lambda x: jnp.sum(op.max_pool(x, slid)))(jnp.zeros((1, 5, 4, 1), dtype))
    expected = np.zeros((5, 4))
    expected[:4:2, ::2] = 1  # PyTorch's max_pool2d: the first in the order of rows
    np.testing.assert_array_equal(gradient[0, :, :, 0], expected)


def test_the_plain_lowering_is_used_on_request(way: str) -> None:
    gradient = jax.make_jaxpr(jax.grad(lambda x: jnp.sum(op.max_pool(x, (Window(2, 2),)))))(jnp.zeros((1, 4, 1)))
    assert ("select_and_scatter" in str(gradient)) == (way == "reference")


def test_nan_is_propagated(way: str) -> None:
    x = jnp.asarray([1.0, jnp.nan, 2.0, 3.0]).reshape(1, 4, 1)
    np.testing.assert_array_equal(op.max_pool(x, (Window(2, 2),)).ravel(), [np.nan, 3.0])


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_keeps_the_type(way: str, dtype: jnp.dtype) -> None:
    x = jnp.arange(16, dtype=dtype).reshape(1, 4, 4, 1)
    y, pull = jax.vjp(lambda x: op.max_pool(x, (Window(2, 2), Window(2, 2))), x)
    assert y.dtype == pull(y)[0].dtype == dtype
    np.testing.assert_array_equal(y.astype(jnp.float32).ravel(), [5, 7, 13, 15])


def test_many_taps_use_the_reduction() -> None:
    slid = (Window(6), Window(6))
    x = jax.random.normal(jax.random.key(0), (1, 8, 8, 2))
    np.testing.assert_array_equal(remembered(x, slid), reduced(x, slid))
    assert "reduce_window" in str(jax.make_jaxpr(lambda x: remembered(x, slid))(x))


@pytest.mark.slow
@given(windows(), st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_adjacent_windows_in_bfloat16_have_the_same_gradient(
    case: tuple[tuple[int, ...], tuple[Window, ...]], seed: int
) -> None:
    shape, slid = case
    touching = tuple(Window(window.size, window.size) for window in slid)
    if any(window.size > size for window, size in zip(touching, shape[1:-1], strict=True)):
        return
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.integers(-3, 4, shape), jnp.float32)  # with ties
    g = jnp.asarray(rng.integers(-9, 9, positions(shape, touching)), jnp.float32)
    _, wide = pulled(remembered, x, touching, g)
    _, narrow = pulled(remembered, x.astype(jnp.bfloat16), touching, g.astype(jnp.bfloat16))
    np.testing.assert_array_equal(narrow.astype(jnp.float32), wide)


@pytest.mark.parametrize("slid", [(Window(5, 1), Window(5, 2)), (Window(2, 2, 2), Window(3, 1, 2))], ids=str)
def test_overlapping_windows_add_gradients_in_float32_and_round_once(way: str, slid: tuple[Window, ...]) -> None:
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.integers(-3, 4, (2, 12, 12, 3)), jnp.float32)
    g = jnp.asarray(rng.integers(128, 256, positions(x.shape, slid)), jnp.float32)
    _, wide = pulled(op.max_pool, x, slid, g)  # whole numbers: exact
    _, narrow = pulled(op.max_pool, x.astype(jnp.bfloat16), slid, g.astype(jnp.bfloat16))
    np.testing.assert_array_equal(narrow, wide.astype(jnp.bfloat16))
