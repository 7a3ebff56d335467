"""Whether answers are right as often as their probabilities say, and the temperature that makes them so.

    >>> found = reliability(np.array([True, False]), np.array([0.9, 0.7]))
    >>> round(found.ece, 6)
    0.4

Source: Guo, Pleiss, Sun & Weinberger 2017, arXiv:1706.04599.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, Any]
BINS: Final = 15  # as in the source
_INNER: Final = np.linspace(0, 1, BINS + 1)[1:-1]
# The least and the most temperature: beyond them, validation answers that are all right, or all alike, would lead.
COLDEST, HOTTEST = 0.05, 20.0
_LEAST: Final = float(np.finfo(np.float32).tiny)  # of a probability; float32 has no logarithm of what is below


@dataclass(frozen=True, eq=False)
class Reliability:
    """Answers by their confidence, in bins of one width from 0 to 1; arrays (15,)."""

    counts: Array
    confidence: Array  # the mean of a bin's answers; 0 where it has none
    accuracy: Array  # the share of right answers in a bin; 0 where it has none

    @property
    def ece(self) -> float:
        """The expected calibration error: the mean of |accuracy − confidence| over the answers."""
        return float(np.sum(self.counts * np.abs(self.accuracy - self.confidence)) / max(self.counts.sum(), 1))


def bin_of(confidences: Array) -> Array:
    """The number of the bin (n,) of each confidence; the upper end of a bin belongs to it."""
    return np.searchsorted(_INNER, confidences, side="left")


def reliability(right: Array, confidences: Array) -> Reliability:
    """The bins of answers: whether each was right (n,), and its probability (n,)."""
    bins = bin_of(confidences)
    counts = np.bincount(bins, minlength=BINS)
    sums = (np.bincount(bins, weights=values, minlength=BINS) for values in (confidences, right))
    confidence, accuracy = (each / np.maximum(counts, 1) for each in sums)
    return Reliability(counts, confidence, accuracy)


def temperature(labels: Array, probabilities: Array) -> float:
    """The temperature T that gives labels (n,) the largest likelihood under softmax(log p / T); 0.05 to 20.

    To be fitted on validation examples. Of a softmax, log p and the outputs differ by a constant of each example alone,
    so that this is temperature scaling of the outputs.
    """
    logs = np.log(np.maximum(probabilities.astype(np.float64), _LEAST))  # (n, k)
    given = logs[np.arange(len(labels)), labels]
    low, high = 1 / HOTTEST, 1 / COLDEST
    at = 1.0
    # The loss is convex in 1/T: Newton's steps, and the middle where one leaves what is known to hold the minimum.
    for _ in range(60):
        shares = _softmax(at * logs)
        means = (shares * logs).sum(axis=1)
        slope = float(np.mean(means - given))
        low, high = (at, high) if slope < 0 else (low, at)
        if high - low < 1e-9 * high:
            break
        bend = float(np.mean((shares * logs**2).sum(axis=1) - means**2))
        step = at - slope / bend if bend > 0 else low
        before, at = at, step if low < step < high else (low * high) ** 0.5
        if abs(at - before) < 1e-9 * at:
            break
    return 1 / at


def tempered(probabilities: Array, temperature: float) -> Array:
    """Probabilities (n, k) at a temperature; the order of the classes stays."""
    return _softmax(np.log(np.maximum(probabilities.astype(np.float64), _LEAST)) / temperature)


def _softmax(values: Array) -> Array:
    powers = np.exp(values - values.max(axis=1, keepdims=True))
    found: Array = powers / powers.sum(axis=1, keepdims=True)
    return found
