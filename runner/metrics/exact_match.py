"""The share of examples all of whose labels are right (scikit-learn's accuracy_score of several labels)."""

import jax
import jax.numpy as jnp

from runner.metrics import Metric


def match(given: jax.Array, right: jax.Array) -> jax.Array:
    """(n, k) truths, (n, k) truths → (n,) truths."""
    return jnp.all(given == right, axis=-1)


METRIC = Metric(match, task="multi_label")
