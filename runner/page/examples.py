"""The examples that a page offers: right and wrong ones of images or texts that were not trained on."""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

RIGHT, WRONG = 12, 8
"""The number of examples of each sort."""


class Example(NamedTuple):
    """An input of the data, of its type and shape, with the number of its class; None if nobody knows it."""

    data: np.ndarray[Any, Any]
    label: int | None = None


def examples(
    inputs: Any, labels: np.ndarray, probabilities: np.ndarray, *, right: int = RIGHT, wrong: int = WRONG
) -> list[Example]:
    """Some inputs that the network classifies rightly, of as many classes as possible, and the wrongest others.

    `inputs` can be indexed by an array; `probabilities` (n, k) are the network's answers to them.
    """
    answers = probabilities.argmax(axis=1)
    good = _in_turn(np.flatnonzero(answers == labels), labels)[:right]
    bad = np.flatnonzero(answers != labels)
    # The surest of the wrong answers first: they are the most instructive.
    bad = bad[np.argsort(-probabilities[bad].max(axis=1), kind="stable")][:wrong]
    chosen = np.concatenate([good, bad]).astype(int)
    return [Example(data, int(labels[place])) for data, place in zip(inputs[chosen], chosen, strict=True)]


def _in_turn(places: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The places ordered so that each class comes once before any comes twice."""
    seen: Counter[int] = Counter()
    turns: list[tuple[int, int, int]] = []
    for place in places:
        label = int(labels[place])
        turns.append((seen[label], label, int(place)))
        seen[label] += 1
    return np.asarray([place for _, _, place in sorted(turns)], int)
