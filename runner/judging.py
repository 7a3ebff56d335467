"""The verdict on the answers of a trained network to the test examples of its data.

    >>> probabilities = np.full((len(dataset.test), len(dataset.classes)), 0.1)
    >>> verdict(dataset, probabilities).examples == len(dataset.test)
    True

The numbers themselves are those of `runner.verdicts`.
"""

import functools
import threading
from typing import Any

import numpy as np

from runner.data import Dataset
from runner.verdicts.baselines import linear, majority, unread
from runner.verdicts.verdict import Baselines, Verdict, judged

Array = np.ndarray[Any, Any]
_once = threading.Lock()


def verdict(dataset: Dataset, probabilities: Array, validation: tuple[Array, Array] | None = None) -> Verdict:
    """From probabilities (n, k) of the test examples; `validation` as in `verdicts.verdict.judged`."""
    labels = dataset.test.labels
    return judged(labels, probabilities, dataset.classes, validation=validation, baselines=baselines(dataset))


def baselines(dataset: Dataset) -> Baselines:
    """What is reached on the data without a network; computed once, also for many networks in several threads."""
    with _once:
        return _baselines(dataset)


@functools.lru_cache(maxsize=2)
def _baselines(dataset: Dataset) -> Baselines:
    train, test = dataset.train, dataset.test
    most = majority(train.labels, test.labels)
    what = "texts have no pixels" if dataset.vocabulary else unread(dataset.shape, len(train), len(test))
    if what:
        return Baselines(most, None, what)
    found = linear(train.inputs, train.labels, test.inputs[:], test.labels, classes=len(dataset.classes))
    return Baselines(most, found)
