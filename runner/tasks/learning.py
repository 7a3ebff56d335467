"""What all tasks have in common: the protocol of `Classification`, `MultiLabel` and `Regression`."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np

from runner.data.forms import Form
from runner.errors import Fault, must
from runner.graph import Graph
from runner.losses import Loss
from runner.metrics import metric
from runner.records import Record


class Learning(Record):
    """A task: what targets are made of, and what the network's outputs say."""

    form: ClassVar[Form]  # of the labels of the data
    measured: ClassVar[tuple[str, ...]]  # the metrics of every run; the first compares runs

    name: str

    def bound(self, labels: np.ndarray) -> Self:
        """The same task with all that it measures on training labels (n, …)."""
        del labels
        return self

    def targets(self, labels: jax.Array, outputs: int) -> jax.Array:
        """Labels (n, …) as what the loss compares with `outputs` outputs: (n, k), float32."""
        raise NotImplementedError

    def compared(self, outputs: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Outputs and targets, both (n, k), as metrics take them."""
        return outputs, targets

    def answers(self, loss: Loss, outputs: jax.Array) -> jax.Array:
        """Outputs (n, k) as answers, float32 (n, k): probabilities, or numbers in the unit of the data."""
        return loss.probabilities(outputs)

    def numbers(self, labels: np.ndarray, answers: np.ndarray) -> dict[str, float]:
        """What is recorded of the test examples besides the metrics, from labels (n, …) and answers (n, k)."""
        raise NotImplementedError

    def errors(self, labels: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """How wrong each answer is (n,), from labels (n, …) and answers (n, k)."""
        raise NotImplementedError

    def said(self, names: Sequence[str], answer: np.ndarray, label: np.ndarray | None) -> str:
        """An answer (k,) in words, beside its label (k,) if that is known."""
        raise NotImplementedError

    def nodes(self, graph: Graph, loss: Loss, outputs: str, count: int) -> str:
        """Adds `answers` to an ONNX graph."""
        return loss.nodes(graph, outputs, count)

    def metric_faults(self, chosen: Sequence[str], outputs: int) -> list[Fault]:
        """The metrics of `train.metrics` that this task does not have, or not for so few outputs."""
        faults = []
        for name in chosen:
            known = metric(name)
            if known.task != self.name:
                faults.append(must("train.metrics", f"contain {name} only for task {known.task}", self.name))
            elif outputs < known.least_classes:
                rule = f"contain {name} only for data of {known.least_classes} classes or more"
                faults.append(must("train.metrics", rule, outputs))
        return faults

    def loss_faults(self, loss: Loss, known: Sequence[Any]) -> list[Fault]:
        """The fault of a loss that does not suit the task; `known` are all kinds of losses."""
        if self.name in loss.tasks:
            return []
        names = [kind.model_fields["name"].default for kind in known if self.name in kind.tasks]
        rule = f"be one of {', '.join(names)} for task {self.name}"
        return [must("loss.name", rule, loss.name)]


def as_numbers(labels: jax.Array) -> jax.Array:
    """Labels (n, k) as float32."""
    return labels.astype(jnp.float32)
