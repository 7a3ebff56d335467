"""Numbers for each example."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Gt
from pydantic import Field

from runner.data.forms import Form
from runner.errors import ConfigError, must
from runner.graph import Graph
from runner.losses import Loss
from runner.records import TRACED
from runner.tasks.learning import Learning, as_numbers
from runner.verdicts import of_numbers


class Regression(Learning):
    """Each example has one or several numbers, which the network estimates.

    It learns them in units of their deviation from their mean, so that none counts more than another for its unit.
    """

    form: ClassVar[Form] = "numbers"
    measured: ClassVar[tuple[str, ...]] = ("mae",)

    name: Literal["regression"] = Field("regression", description="One or several numbers for each example.")
    mean: Annotated[tuple[float, ...] | None, TRACED] = Field(
        None, description="What is subtracted from each number before it is learnt; null = its mean in training."
    )
    std: Annotated[tuple[Annotated[float, Gt(0)], ...] | None, TRACED] = Field(
        None, description="What each number is then divided by; null = its standard deviation in training."
    )

    def bound(self, labels: np.ndarray) -> Self:
        """The same task with the mean and the standard deviation of training labels (n, k) where it has none."""
        found = labels.astype(np.float64)
        deviation = found.std(axis=0)
        measured = {"mean": found.mean(axis=0), "std": np.where(deviation > 0, deviation, 1.0)}
        values = {name: getattr(self, name) or tuple(own.tolist()) for name, own in measured.items()}
        for name, own in values.items():
            if len(own) != labels.shape[1]:
                raise ConfigError(must(f"task.{name}", f"have {labels.shape[1]} numbers, one for each target", own))
        return self.model_copy(update=values)

    def targets(self, labels: jax.Array, outputs: int) -> jax.Array:
        """Numbers (n, k) in units of their deviation from the mean."""
        del outputs
        mean, std = self._scale()
        return (as_numbers(labels) - mean) / std

    def compared(self, outputs: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Estimates and numbers in the unit of the data."""
        return self._restored(outputs), self._restored(targets)

    def answers(self, loss: Loss, outputs: jax.Array) -> jax.Array:
        """Estimates in the unit of the data."""
        del loss
        return self._restored(outputs)

    def numbers(self, labels: np.ndarray, answers: np.ndarray) -> dict[str, float]:
        """See `verdicts.of_numbers.numbers`."""
        return of_numbers.numbers(labels, answers)

    def errors(self, labels: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """The mean of what the numbers are off by, in deviations."""
        return np.asarray((np.abs(answers - labels) / np.asarray(self.std, np.float32)).mean(axis=1))

    def said(self, names: Sequence[str], answer: np.ndarray, label: np.ndarray | None) -> str:
        """The numbers, with the true ones in brackets."""
        true = [""] * len(names) if label is None else [f" ({value:.4g})" for value in label]
        return ", ".join(f"{name} {value:.4g}{own}" for name, value, own in zip(names, answer, true, strict=True))

    def nodes(self, graph: Graph, loss: Loss, outputs: str, count: int) -> str:
        del loss, count
        scaled = graph.node("Mul", outputs, graph.constant(np.asarray(self.std, np.float32)))
        return graph.node("Add", scaled, graph.constant(np.asarray(self.mean, np.float32)))

    def _restored(self, values: jax.Array) -> jax.Array:
        mean, std = self._scale()
        return as_numbers(values) * std + mean

    def _scale(self) -> tuple[jax.Array, jax.Array]:
        """The mean and the standard deviation of each number, float32 (1, k), of a task that is bound."""
        mean, std = (
            jnp.stack([jnp.asarray(one, jnp.float32) for one in each or ()])[None] for each in (self.mean, self.std)
        )
        return mean, std
