"""The share of examples with the class of the largest target among those of the five largest outputs."""

import jax
import jax.numpy as jnp

from runner.metrics import Metric


def among_the_first(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """(n, k) outputs, (n, k) targets → (n,) truths; of equal outputs the first classes count as the larger."""
    _, largest = jax.lax.top_k(outputs, 5)  # (n, 5)
    return jnp.any(largest == jnp.argmax(targets, axis=-1, keepdims=True).astype(largest.dtype), axis=-1)


METRIC = Metric(among_the_first, least_classes=6)
