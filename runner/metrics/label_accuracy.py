"""The share of labels that are right, given or left out: 1 − the Hamming loss."""

import jax
import jax.numpy as jnp

from runner.metrics import Metric


def share(given: jax.Array, right: jax.Array) -> jax.Array:
    """(n, k) truths, (n, k) truths → (n,)."""
    return jnp.mean((given == right).astype(jnp.float32), axis=-1)


METRIC = Metric(share, task="multi_label")
