"""Mean and variance of channels against float64 and against XLA's own differentiation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from runner.ops.lowering import Choice, lowered
from runner.ops.moments import moments


def plain(rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jnp.mean(rows, axis=0), jnp.var(rows, axis=0)


@pytest.mark.parametrize("choice", ["auto", "reference"])
def test_moments_and_their_gradient(choice: Choice) -> None:
    rng = np.random.default_rng(0)
    rows = jnp.asarray(rng.normal(3, 2, (300, 5)), jnp.float32)
    gradients = tuple(jnp.asarray(rng.normal(size=5), jnp.float32) for _ in range(2))
    with lowered(choice):
        found, pull = jax.vjp(moments, rows)
        by_rows = pull(gradients)[0]
    expected, pull = jax.vjp(plain, rows)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    np.testing.assert_allclose(by_rows, pull(gradients)[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("choice", ["auto", "reference"])
def test_moments_are_accurate_for_a_large_mean(choice: Choice) -> None:
    rows = jnp.asarray(np.random.default_rng(0).normal(1000, 1, (4000, 3)), jnp.float32)
    with lowered(choice):
        mean, variance = moments(rows)
    exact = np.asarray(rows, np.float64)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var(0), rtol=1e-4)


@pytest.mark.parametrize("choice", ["auto", "reference"])
def test_bfloat16_is_summed_in_float32(choice: Choice) -> None:
    rows = jnp.asarray(np.random.default_rng(0).normal(size=(500, 4)), jnp.bfloat16)
    with lowered(choice):
        (mean, variance), pull = jax.vjp(lambda x: moments(x, jnp.bfloat16), rows.astype(jnp.float32))
        by_rows = pull((jnp.ones(4), jnp.ones(4)))[0]
    assert (mean.dtype, variance.dtype, by_rows.dtype) == (jnp.float32,) * 3
    exact = np.asarray(rows, np.float64)
    np.testing.assert_allclose(mean, exact.mean(0), atol=1e-5)
    np.testing.assert_allclose(variance, exact.var(0), rtol=1e-4)
    np.testing.assert_allclose(by_rows, (1 + 2 * (exact - exact.mean(0))) / len(exact), rtol=1e-4, atol=1e-6)
