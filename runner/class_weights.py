"""How much each class counts in training, so that rare classes are not overlooked.

>>> weights(Weighting(class_weights="balanced"), np.array([900, 100]))
array([0.5555556, 5.       ], dtype=float32)

The weights multiply the loss of an example before the mean over the batch is taken, in training alone: recorded losses
and metrics count every example as one, so that runs with other weights can be compared.
"""

from typing import Annotated, Any, Literal, get_args

import numpy as np
from annotated_types import Ge, Lt, MinLen
from pydantic import BeforeValidator, Field

from runner.errors import Fault, must
from runner.records import Record

Named = Literal["none", "balanced", "effective_number"]


def _known(value: Any) -> Any:
    """The value, if it is one of the words or a list of numbers: one line for whatever else it is."""
    numbers = isinstance(value, tuple) and all(type(item) in (int, float) and item >= 0 for item in value)
    if (numbers and len(value) > 1) or (isinstance(value, str) and value in get_args(Named)):
        return value
    rule = f"be {', '.join(get_args(Named))}, or a list with a number of 0 or more for each class"
    raise ValueError(must("", rule, value).text)


class Weighting(Record):
    """The weights of classes in a loss."""

    class_weights: Annotated[
        Named | Annotated[tuple[Annotated[float, Ge(0)], ...], MinLen(2)], BeforeValidator(_known)
    ] = Field(
        "none",
        description="How much an example of each class counts in training: none, all alike; balanced, n / (k n_c) for "
        "k classes and n_c of n training examples; effective_number, (1 − β) / (1 − β^n_c), scaled to a mean of 1 over "
        "the classes; or a number for each class, in the order of the labels. Recorded losses count all alike.",
        examples=["balanced", [1.0, 4.0]],
    )
    effective_number_beta: Annotated[float, Ge(0), Lt(1)] = Field(
        0.999, description="β of effective_number: 0 weighs all classes alike, towards 1 it comes near to balanced."
    )

    def weighting_faults(self, classes: int) -> list[Fault]:
        """What does not fit data of so many classes."""
        own = self.class_weights
        if isinstance(own, str):
            return []
        if len(own) != classes:
            return [must("loss.class_weights", f"have a number for each of {classes} classes", own)]
        return [] if any(own) else [must("loss.class_weights", "have a number above 0", own)]


def weights(how: Weighting, counts: np.ndarray) -> np.ndarray | None:
    """The weights of the classes, float32 (k,), for the numbers of their training examples, (k,); None: all alike.

    A class without examples has weight 0. Sources: King & Zeng 2001 (balanced; scikit-learn's class_weight); Cui et al.
    2019, arXiv:1901.05555 (effective_number).
    """
    if how.class_weights == "none":
        return None
    if not isinstance(how.class_weights, str):
        return np.asarray(how.class_weights, np.float32)
    present = counts > 0
    known = counts[present].astype(np.float64)
    found = np.zeros(len(counts))
    if how.class_weights == "balanced":
        found[present] = known.sum() / (len(counts) * known)
    else:
        # 1 − β^n without cancellation; of β = 0 it is 1.
        beta = how.effective_number_beta
        number = -np.expm1(known * np.log(beta)) / (1 - beta) if beta else np.ones_like(known)
        found[present] = 1 / number
        found *= len(counts) / found.sum()
    return found.astype(np.float32)
