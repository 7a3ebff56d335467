"""Mean and variance of every channel; the backward pass stores only the input.

XLA's derivative also stores the centred input. The native package, if installed, reads a batch only once: both passes
of batch normalisation of (128, 32, 32, 32) take 4.5 ms instead of 7.5 ms on two cores.
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

    `stored` is the type of the rows before a conversion to float32, such as bfloat16: they are read, and stored for the
    backward pass, in this type. Their gradient is float32, so that it is rounded only after additions.
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
