"""The mean absolute error, in the unit of the data; of several numbers their mean."""

import jax
import jax.numpy as jnp

from runner.metrics import Metric


def absolute(estimates: jax.Array, numbers: jax.Array) -> jax.Array:
    """(n, k), (n, k) → (n,)."""
    return jnp.mean(jnp.abs(estimates - numbers), axis=-1)


METRIC = Metric(absolute, "minimize", task="regression", form=".4g")
