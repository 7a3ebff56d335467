"""The mean squared error, in the squared unit of the data; of several numbers their mean."""

import jax
import jax.numpy as jnp

from runner.metrics import Metric


def squared(estimates: jax.Array, numbers: jax.Array) -> jax.Array:
    """(n, k), (n, k) → (n,)."""
    return jnp.mean(jnp.square(estimates - numbers), axis=-1)


METRIC = Metric(squared, "minimize", task="regression", form=".4g")
