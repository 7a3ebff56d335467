"""The mean over examples of the F1 of their labels: 2 · right / (given + wanted), and 1 where there are none.

Source: scikit-learn's f1_score with average="samples" and zero_division=1.
"""

import jax
import jax.numpy as jnp

from runner.metrics import Metric


def f1(given: jax.Array, right: jax.Array) -> jax.Array:
    """(n, k) truths, (n, k) truths → (n,)."""
    both = jnp.sum(given & right, axis=-1).astype(jnp.float32)
    all_of_both = (jnp.sum(given, axis=-1) + jnp.sum(right, axis=-1)).astype(jnp.float32)
    return jnp.where(all_of_both > 0, 2 * both / jnp.maximum(all_of_both, 1), 1.0)


METRIC = Metric(f1, task="multi_label", form=".4f")
