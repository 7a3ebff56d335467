"""The areas under the ROC and precision-recall curves of each class against all others, with bootstrap intervals.

    >>> found = areas(np.array([0, 1, 0]), np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]]))
    >>> found.roc_auc[0].value, round(found.average_precision[0].value, 4)
    (0.5, 0.8333)

They are those of scikit-learn's `roc_auc_score` and `average_precision_score`; equal scores are one threshold.
Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, §13.3 (percentiles).
"""

import warnings
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from runner.verdicts.intervals import ENDS, LEAST_RESAMPLES, RESAMPLES, SEED, Measured

Array = np.ndarray[Any, Any]
_NUMBERS: Final = 20_000_000  # examples, classes and resamples multiplied: with more there are fewer resamples
_MOST: Final = 5_000_000  # examples and classes multiplied: with more there are no intervals
_TOGETHER: Final = 2**19  # numbers that are drawn at once
_UNKNOWN: Final = Measured(np.nan, np.nan, np.nan)


class Areas(NamedTuple):
    """The areas of each class, and their means over the classes that have any.

    A class without examples or without others has NaN. The ends of intervals are NaN if `resamples` is 0, as there are
    too many examples and classes.
    """

    roc_auc: tuple[Measured, ...]
    average_precision: tuple[Measured, ...]
    macro_roc_auc: Measured
    macro_average_precision: Measured
    resamples: int


def areas(labels: Array, probabilities: Array) -> Areas:
    """The areas from labels (n,) and probabilities (n, k) without NaN."""
    n, k = probabilities.shape
    resamples = min(RESAMPLES, max(_NUMBERS // (n * k), LEAST_RESAMPLES)) if n * k <= _MOST else 0
    thresholds = [_thresholds(labels == number, probabilities[:, number]) for number in range(k)]
    times = [np.ones((n, 1)), *_drawn(n, resamples)]
    found = np.concatenate([np.stack([_of_class(one, part) for one in thresholds]) for part in times], axis=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of classes, and means of classes, that have no areas
        means = np.nanmean(found, axis=0)
    roc, precision = ([_measured(values) for values in (*found[:, which], means[which])] for which in (0, 1))
    return Areas(tuple(roc[:-1]), tuple(precision[:-1]), roc[-1], precision[-1], found.shape[2] - 1)


def _drawn(n: int, resamples: int) -> Iterator[Array]:
    """How often each example comes in each resample with replacement, float32 (n, m), as many at once as fit caches."""
    generator = np.random.default_rng(SEED)
    for start in range(0, resamples, size := max(8, min(_TOGETHER // n, resamples))):
        count = min(size, resamples - start)
        places = generator.integers(0, n, (count, n)) + n * np.arange(count)[:, None]
        yield np.bincount(places.ravel(), minlength=count * n).reshape(count, n).T.astype(np.float32, order="C")


class _Thresholds(NamedTuple):
    """The scores at which examples of a class lie, from the highest on, and who lies there.

    Runs of examples in `order` (n,) begin at `firsts`; `runs` number them: 2i lie above threshold i, 2i + 1 at it.
    Those of the class are `own`, in runs that begin at `own_firsts`.
    """

    order: Array
    firsts: Array
    runs: Array
    own: Array
    own_firsts: Array


def _thresholds(positive: Array, scores: Array) -> _Thresholds | None:
    """Of truths (n,) and scores (n,); None unless there are examples of the class and of others.

    Thresholds without an example of the class change no recall, and are left out.
    """
    if not 0 < positive.sum() < len(positive):
        return None
    order = np.argsort(-scores, kind="stable")
    steps = np.concatenate([[0], np.cumsum(np.diff(scores[order]) != 0)])
    taken = steps[positive[order]]
    occupied = taken[np.diff(taken, prepend=-1) > 0]
    threshold = np.searchsorted(occupied, steps)
    run = threshold * 2 + (steps == np.append(occupied, -1)[threshold])
    firsts = np.flatnonzero(np.diff(run, prepend=-1))
    own = positive[order]
    return _Thresholds(order, firsts, run[firsts], order[own], np.flatnonzero(np.diff(threshold[own], prepend=-1)))


def _of_class(found: _Thresholds | None, times: Array) -> Array:
    """The areas (2, m) under both curves, for each column of `times` (n, m): how often each example comes."""
    if found is None:
        return np.full((2, times.shape[1]), np.nan)
    true = np.add.reduceat(times[found.own], found.own_firsts, axis=0)  # (t, m), those of the class at each threshold
    sums = np.zeros((2 * len(true) + 1, times.shape[1]), times.dtype)
    sums[found.runs] = np.add.reduceat(times[found.order], found.firsts, axis=0)
    reached, until = np.cumsum(true, axis=0), np.cumsum(sums, axis=0)
    positives, negatives = reached[-1], until[-1] - reached[-1]
    above, at = until[0:-1:2] - (reached - true), sums[1::2] - true  # the others: above each threshold, and at it
    with np.errstate(invalid="ignore", divide="ignore"):
        # The share of pairs that are in the right order; those of equal scores count a half.
        roc = 1 - np.einsum("tm,tm->m", true, above + at / 2) / (positives * negatives)
        precision = np.einsum("tm,tm->m", true, reached / np.maximum(until[1::2], 1)) / positives
    return np.stack([roc, np.where(negatives > 0, precision, np.nan)])


def _measured(values: Array) -> Measured:
    """The first value, with the percentiles of the others; resamples without examples of the class are left out."""
    known = values[1:][np.isfinite(values[1:])]
    if not np.isfinite(values[0]):
        return _UNKNOWN
    low, high = np.percentile(known, ENDS) if len(known) else (np.nan, np.nan)
    return Measured(float(values[0]), float(low), float(high))
