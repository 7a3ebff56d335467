"""Any number of labels for each example."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Gt, Lt
from pydantic import Field

from runner.data.forms import Form
from runner.records import TRACED
from runner.tasks.learning import Learning, as_numbers
from runner.verdicts import of_labels


class MultiLabel(Learning):
    """Each example has none, one or several labels; the network gives the probability of each, on its own."""

    form: ClassVar[Form] = "labels"
    measured: ClassVar[tuple[str, ...]] = ("f1_samples", "exact_match")

    name: Literal["multi_label"] = Field("multi_label", description="None, one or several labels for each example.")
    threshold: Annotated[float, Gt(0), Lt(1), TRACED] = Field(
        0.5, description="The probability from which on a label is given to an example."
    )

    def targets(self, labels: jax.Array, outputs: int) -> jax.Array:
        """Labels (n, k) of 0 and 1."""
        del outputs
        return as_numbers(labels)

    def compared(self, outputs: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The labels that are given and those that are right, both truths (n, k); mixed ones hold from ½ on."""
        given = jax.nn.sigmoid(outputs.astype(jnp.float32)) >= jnp.asarray(self.threshold, jnp.float32)
        return given, targets >= 0.5

    def numbers(self, labels: np.ndarray, answers: np.ndarray) -> dict[str, float]:
        """See `verdicts.of_labels.numbers`."""
        return of_labels.numbers(labels, answers, self.threshold)

    def errors(self, labels: np.ndarray, answers: np.ndarray) -> np.ndarray:
        """The sum of what the probabilities are off by."""
        return np.asarray(np.abs(answers - labels).sum(axis=1))

    def given(self, answers: np.ndarray) -> np.ndarray:
        """Which labels the probabilities give: truths of the same shape."""
        return np.asarray(answers >= np.float32(self.threshold))

    def said(self, names: Sequence[str], answer: np.ndarray, label: np.ndarray | None) -> str:
        """The labels that are given, the most probable first, and those that are right if it is wrong."""
        kept = [place for place in np.argsort(-answer, kind="stable") if self.given(answer)[place]]
        text = ", ".join(f"{names[place]} {answer[place]:.0%}" for place in kept) or "no label"
        if label is None:
            return text
        wanted = label > 0
        if (wanted == self.given(answer)).all():
            return f"right: {text}"
        right = ", ".join(name for name, holds in zip(names, wanted, strict=True) if holds) or "none"
        return f"wrong: {text}; right are {right}"
