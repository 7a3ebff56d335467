"""The verdict on the answers of a trained network to the test examples of its data.

    >>> probabilities = np.full((len(dataset.test), len(dataset.classes)), 0.1)
    >>> verdict(dataset, probabilities).examples == len(dataset.test)
    True

The numbers themselves are those of `runner.verdicts`; each task has a verdict of its own.
"""

import functools
import threading
from typing import Any

import numpy as np

from runner.data import Dataset
from runner.tasks import Classification, MultiLabel, Task
from runner.verdicts import of_labels, of_numbers, terminal
from runner.verdicts import verdict as of_classes
from runner.verdicts.baselines import fitted, linear, majority, unread
from runner.verdicts.of_labels import LabelsVerdict
from runner.verdicts.of_numbers import NumbersVerdict
from runner.verdicts.verdict import Baselines, Verdict, judged

Array = np.ndarray[Any, Any]
AnyVerdict = Verdict | LabelsVerdict | NumbersVerdict
_once = threading.Lock()
_CLASSIFICATION = Classification()


def verdict(
    dataset: Dataset,
    answers: Array,
    task: Task = _CLASSIFICATION,
    validation: tuple[Array, Array] | None = None,
) -> AnyVerdict:
    """From answers (n, k) to the test examples; `validation` as in `verdicts.verdict.judged`, for classes alone."""
    labels, names = dataset.test.labels, dataset.classes
    if isinstance(task, Classification):
        return judged(labels, answers, names, validation=validation, baselines=baselines(dataset))
    usual, fit = _linear(dataset)
    if isinstance(task, MultiLabel):
        return of_labels.judged(labels, answers, names, task.threshold, frequencies=usual, linear=fit)
    return of_numbers.judged(labels, answers, names, means=usual, linear=fit)


def lines(found: AnyVerdict, width: int) -> list[str]:
    """A verdict in a few lines, none of more than `width` columns."""
    if isinstance(found, Verdict):
        return terminal.lines(found, width)
    return of_labels.lines(found, width) if isinstance(found, LabelsVerdict) else of_numbers.lines(found, width)


def as_json(found: AnyVerdict) -> dict[str, Any]:
    """A verdict as plain values; what is not known is null."""
    if isinstance(found, Verdict):
        return of_classes.as_json(found)
    return of_labels.as_json(found) if isinstance(found, LabelsVerdict) else of_numbers.as_json(found)


def baselines(dataset: Dataset) -> Baselines:
    """What is reached on classes without a network; computed once, also for many networks in several threads."""
    with _once:
        return _baselines(dataset)


@functools.lru_cache(maxsize=2)
def _baselines(dataset: Dataset) -> Baselines:
    train, test = dataset.train, dataset.test
    most = majority(train.labels, test.labels)
    if what := _unread(dataset):
        return Baselines(most, None, what)
    found = linear(train.inputs, train.labels, test.inputs[:], test.labels, classes=len(dataset.classes))
    return Baselines(most, found)


def _linear(dataset: Dataset) -> tuple[Array, Array | None]:
    """The means (k,) of labels or numbers in training, and the answers (n, k) of a linear model to the test."""
    with _once:
        return _fitted(dataset)


@functools.lru_cache(maxsize=2)
def _fitted(dataset: Dataset) -> tuple[Array, Array | None]:
    train, test = dataset.train, dataset.test
    means = train.labels.mean(axis=0)
    return means, None if _unread(dataset) else fitted(train.inputs, train.labels, test.inputs[:]).answers


def _unread(dataset: Dataset) -> str:
    """Why there is no linear model of these data; empty if there is one."""
    sizes = len(dataset.train), len(dataset.test)
    return "texts have no pixels" if dataset.vocabulary else unread(dataset.shape, *sizes)
