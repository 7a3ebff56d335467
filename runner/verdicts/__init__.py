"""How good answers are: the one room that knows what is measured of them; of classes here,
of several labels in `of_labels`, of numbers in `of_numbers`.

    >>> labels, probabilities = np.array([0, 1]), np.array([[0.9, 0.1], [0.7, 0.3]])
    >>> numbers(labels, probabilities)["balanced_accuracy"]
    0.5

`numbers` are cheap and recorded of every training; a `verdict.Verdict` has all the rest. Needs NumPy alone: importing
scikit-learn, with which the tests compare everything, takes a second.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from runner.verdicts import classes
from runner.verdicts.calibration import reliability
from runner.verdicts.intervals import wilson

Array = np.ndarray[Any, Any]


class Number(NamedTuple):
    """A number that is recorded of the test examples: which values are better, and how it is printed."""

    direction: Literal["maximize", "minimize"]
    form: str


NUMBERS: Final[Mapping[str, Number]] = {
    "accuracy_low": Number("maximize", ".2%"),
    "accuracy_high": Number("maximize", ".2%"),
    "balanced_accuracy": Number("maximize", ".2%"),
    "f1_macro": Number("maximize", ".4f"),
    "ece": Number("minimize", ".4f"),
    "f1_micro": Number("maximize", ".4f"),
    "mean_average_precision": Number("maximize", ".4f"),
    "rmse": Number("minimize", ".4g"),
    "r2": Number("maximize", ".4f"),
}


def numbers(labels: Array, probabilities: Array) -> dict[str, float]:
    """What every run records besides its metrics, from labels (n,) and probabilities (n, k); nothing of no examples."""
    if not len(labels):
        return {}
    taken, confidences = answers(probabilities)
    right = taken == labels
    found = classes.by_class(classes.confusion(labels, taken, probabilities.shape[1]))
    share = wilson(int(right.sum()), len(labels))
    return {
        "accuracy_low": share.low,
        "accuracy_high": share.high,
        "balanced_accuracy": float(classes.balanced_accuracy(found)),
        "f1_macro": float(classes.macro(found).f1),
        "ece": reliability(right, confidences).ece,
    }


def answers(probabilities: Array) -> tuple[Array, Array]:
    """The class with the largest probability (n,), and that probability, float64 (n,): 0 where it is no number."""
    taken = probabilities.argmax(axis=1)
    confidences = probabilities[np.arange(len(taken)), taken].astype(np.float64)
    return taken, np.nan_to_num(confidences)


def shown(name: str, value: float) -> str | None:
    """A number as it is printed, recorded as test/NAME; None if it is none of `NUMBERS`.

    >>> shown("test/f1_macro", 0.98765), shown("test/balanced_accuracy", 0.98765), shown("test/loss", 0.5)
    ('0.9877', '98.77%', None)
    """
    known = NUMBERS.get(name.removeprefix("test/"))
    return format(value, known.form) if known and name.startswith("test/") else None
