"""Precision, recall, F1 and support of each class, and their means, from counts of labels and answers.

    >>> found = by_class(confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), 2))
    >>> found.recall.tolist(), found.support.tolist()
    ([0.5, 1.0], [2, 1])

All are those of scikit-learn with `zero_division=0`: a class that was never taken has precision 0, and one without
examples recall 0. Means go over the classes that occur among the labels or the answers.
"""

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class ByClass(NamedTuple):
    """Arrays (…, k), one value for each class; `support` are counts of examples, the others 0 to 1."""

    precision: Array
    recall: Array
    f1: Array
    support: Array
    occurs: Array  # whether the class is that of an example, or was taken for one


class Means(NamedTuple):
    """Means over the classes that occur: numbers, or arrays (…) from arrays (…, k)."""

    precision: Array
    recall: Array
    f1: Array


def confusion(labels: Array, taken: Array, classes: int) -> Array:
    """Counts (k, k) of true classes (rows) and taken classes (columns), from indices (n,)."""
    places = labels.astype(np.int64) * classes + taken
    return np.bincount(places, minlength=classes * classes).reshape(classes, classes)


def by_class(counts: Array) -> ByClass:
    """What each class came to, from counts (k, k)."""
    return of_counts(np.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0))


def of_counts(right: Array, support: Array, taken: Array) -> ByClass:
    """The same from three counts (…, k): right answers, examples of the class, and answers that name it."""
    precision, recall = _share(right, taken), _share(right, support)
    return ByClass(precision, recall, _share(2 * right, support + taken), support, support + taken > 0)


def macro(found: ByClass) -> Means:
    """Each class that occurs counts the same."""
    return _means(found, found.occurs)


def weighted(found: ByClass) -> Means:
    """Each class counts as often as it has examples."""
    return _means(found, found.support)


def balanced_accuracy(found: ByClass) -> Array:
    """The mean recall of the classes that have examples. Source: Brodersen et al. 2010, ICPR."""
    return _mean(found.recall, found.support > 0)


def _means(found: ByClass, weights: Array) -> Means:
    return Means(*(_mean(values, weights) for values in (found.precision, found.recall, found.f1)))


def _mean(values: Array, weights: Array) -> Array:
    """The weighted mean over the last axis; 0 where nothing has a weight."""
    return _share((values * weights).sum(axis=-1), weights.sum(axis=-1))


def _share(part: Array, whole: Array) -> Array:
    """The quotient; 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros(np.shape(part)), where=np.asarray(whole) > 0)
