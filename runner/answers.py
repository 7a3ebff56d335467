"""The answer of a network to one input: the classes with the largest probabilities, or its labels, or numbers.

>>> best(np.array([[0.25, 0.75]], np.float32), ("cat", "dog"), top_k=1)
[(Choice(name='dog', probability=0.75),)]

Needs NumPy only: this module is part of every logged model.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np


class Choice(NamedTuple):
    """A class with its probability."""

    name: str
    probability: float


def best(probabilities: np.ndarray, classes: Sequence[str], *, top_k: int) -> list[tuple[Choice, ...]]:
    """Of each row of probabilities (n, k) the `top_k` largest, the largest first; of equal ones the first class."""
    places = np.argsort(-probabilities, axis=1, kind="stable")[:, :top_k]
    return [
        tuple(Choice(classes[place], float(row[place])) for place in chosen)
        for row, chosen in zip(probabilities, places, strict=True)
    ]


def given(probabilities: np.ndarray, names: Sequence[str], threshold: float) -> tuple[Choice, ...]:
    """The labels whose probabilities (k,) reach the threshold, the most probable first."""
    [ranked] = best(probabilities[None], names, top_k=len(names))
    return tuple(choice for choice in ranked if choice.probability >= np.float32(threshold))


def labels_as_json(probabilities: np.ndarray, names: Sequence[str], threshold: float) -> dict[str, Any]:
    """The labels of an input as they are written in JSON, with the probabilities (k,) of all."""
    return {
        "labels": [choice.name for choice in given(probabilities, names, threshold)],
        "probabilities": numbers_as_json(probabilities, names),
    }


def numbers_as_json(values: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Values (k,) by name."""
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def as_json(top: Sequence[Choice]) -> dict[str, Any]:
    """An answer as it is written in JSON."""
    return {
        "class": top[0].name,
        "probability": top[0].probability,
        "top": [{"class": choice.name, "probability": choice.probability} for choice in top],
    }
