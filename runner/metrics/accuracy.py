"""The share of examples whose largest output is that of the class with the largest target."""

import jax
import jax.numpy as jnp

from runner.metrics import Metric


def correct(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """(n, k) outputs, (n, k) targets → (n,) truths."""
    return jnp.argmax(outputs, axis=-1) == jnp.argmax(targets, axis=-1)


METRIC = Metric(correct)
