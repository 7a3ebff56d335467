"""ROC and precision-recall curves of one class against all others, and their areas.

    >>> found = curve(np.array([True, False, True]), np.array([0.9, 0.4, 0.3]))
    >>> found.area, round(found.average_precision, 4)
    (0.5, 0.8333)

Areas are those of scikit-learn's `roc_auc_score` and `average_precision_score`; equal scores are one threshold.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Curve:
    """What every threshold on the score of a class gives, from the highest on; arrays (t,) of shares, 0 to 1.

    `recall` is also the true positive rate, and begins at 0 with `false_positive_rate`; `precision` there is 1.
    """

    false_positive_rate: Array
    recall: Array
    precision: Array

    @property
    def area(self) -> float:
        """The area under the ROC curve: the share of pairs that are in the right order, ties as a half."""
        return float(np.trapezoid(self.recall, self.false_positive_rate))

    @property
    def average_precision(self) -> float:
        """The mean precision, weighted by the recall that each threshold adds; without interpolation."""
        return float(np.sum(np.diff(self.recall) * self.precision[1:]))


def curve(positive: Array, scores: Array) -> Curve | None:
    """The curve of truths (n,) and scores (n,). None unless there are examples of the class and of others."""
    count = int(positive.sum())
    if not 0 < count < len(positive):
        return None
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # the last of each run of equal scores
    right = np.cumsum(positive[order])[ends]
    return Curve(
        np.append(0.0, (ends + 1 - right) / (len(positive) - count)),
        np.append(0.0, right / count),
        np.append(1.0, right / (ends + 1)),
    )


def curves(labels: Array, probabilities: Array) -> list[Curve | None]:
    """The curve of each class or label, from labels, (n,) or (n, k), and probabilities (n, k)."""
    each = range(probabilities.shape[1])
    truths = [labels == number for number in each] if labels.ndim == 1 else list((labels > 0).T)
    return [curve(truths[number], probabilities[:, number]) for number in each]
