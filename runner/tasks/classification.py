"""One class for each example."""

from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from runner import verdicts
from runner.data.forms import Form
from runner.tasks.learning import Learning


class Classification(Learning):
    """Each example has one class; the network gives the probability of each."""

    form: ClassVar[Form] = "classes"
    measured: ClassVar[tuple[str, ...]] = ("accuracy",)

    name: Literal["classification"] = Field("classification", description="One class for each example.")

    def targets(self, labels: jax.Array, outputs: int) -> jax.Array:
        """Classes (n,) as one-hot rows (n, k)."""
        return jax.nn.one_hot(labels, outputs, dtype=jnp.float32)

    def numbers(self, labels: np.ndarray, answers: np.ndarray) -> dict[str, float]:
        """See `verdicts.numbers`."""
        return verdicts.numbers(labels, answers)
