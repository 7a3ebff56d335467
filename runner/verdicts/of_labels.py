"""How good the answers are where an example has several labels.

    >>> labels, probabilities = np.array([[1, 0], [1, 1]]), np.array([[0.9, 0.2], [0.7, 0.4]])
    >>> found = numbers(labels, probabilities, 0.5)
    >>> round(found["f1_micro"], 4), found["mean_average_precision"]
    (0.8, 1.0)

Names and values are those of scikit-learn; what would be divided by zero is 0, as there.
"""

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.errors import printable
from runner.verdicts.curves import curves
from runner.verdicts.intervals import Measured, counted, of_sums, said_interval, wilson

Array = np.ndarray[Any, Any]
_MEANS = ("f1_samples", "f1_micro", "f1_macro", "label_accuracy")


@dataclass(frozen=True, eq=False)
class LabelsVerdict:
    """All that is measured of answers to n examples with k labels; arrays are (k,).

    `roc_auc` and `average_precision` are NaN for a label that all or no examples have. `without` is what the most
    frequent labels alone get; `linear` what a linear model gets, if there is one: both are the F1 of samples.
    """

    names: tuple[str, ...]
    examples: int
    threshold: float
    support: Array
    given: Array
    right: Array
    exact_match: Measured
    means: tuple[Measured, ...]  # of _MEANS
    roc_auc: Array
    average_precision: Array
    without: float
    linear: float | None

    @property
    def mean_average_precision(self) -> float:
        """The mean over the labels that some and not all examples have; NaN without such."""
        return _mean(self.average_precision)

    @property
    def f1(self) -> Array:
        """The F1 of each label."""
        return _ratio(2 * self.right, self.given + self.support)


def numbers(labels: Array, probabilities: Array, threshold: float) -> dict[str, float]:
    """What every run records besides its metrics, from labels and probabilities (n, k)."""
    if not len(labels):
        return {}
    wanted, given = labels > 0, probabilities >= np.float32(threshold)
    values = _values(_each(wanted, given).mean(axis=0))
    areas = [one.average_precision for one in curves(wanted, np.nan_to_num(probabilities)) if one is not None]
    found = dict(zip(_MEANS[1:3], map(float, values[1:3]), strict=True))
    return found | ({"mean_average_precision": float(np.mean(areas))} if areas else {})


def judged(
    labels: Array,
    probabilities: Array,
    names: tuple[str, ...],
    threshold: float,
    *,
    frequencies: Array | None = None,
    linear: Array | None = None,
) -> LabelsVerdict:
    """The verdict on probabilities (n, k) for labels (n, k) of 0 and 1, at least one row.

    `frequencies` (k,) are those of the labels in training, `linear` (n, k) the answers of a linear model.
    """
    wanted, given = labels > 0, probabilities >= np.float32(threshold)
    each = _each(wanted, given)
    known = curves(wanted, np.nan_to_num(probabilities))
    frequent = (wanted.mean(axis=0) if frequencies is None else frequencies) >= 0.5
    return LabelsVerdict(
        names=names,
        examples=len(labels),
        threshold=threshold,
        support=wanted.sum(axis=0),
        given=given.sum(axis=0),
        right=(wanted & given).sum(axis=0),
        exact_match=wilson(int((wanted == given).all(axis=1).sum()), len(labels)),
        means=tuple(of_sums(each, _values)),
        roc_auc=np.array([np.nan if one is None else one.area for one in known]),
        average_precision=np.array([np.nan if one is None else one.average_precision for one in known]),
        without=float(_f1_of_samples(wanted, np.broadcast_to(frequent, wanted.shape)).mean()),
        linear=None if linear is None else float(_f1_of_samples(wanted, linear >= 0.5).mean()),
    )


def lines(found: LabelsVerdict, width: int, *, of: str = "test examples") -> list[str]:
    """The means with their intervals, what is reached without a network, and the weakest labels."""
    f1, micro, macro, accuracy = found.means
    exact = found.exact_match
    known = found.mean_average_precision
    told = [
        f"F1 of samples {f1.value:.4f}{said_interval(f1, found.examples)}; {counted(found.examples, of)}",
        f"all labels right {exact.value:.2%} (95 % interval {exact.low:.2%} to {exact.high:.2%}); "
        f"of single labels {accuracy.value:.2%}",
        f"micro F1 {micro.value:.4f}, macro F1 {macro.value:.4f}"
        + (f", mean average precision {known:.4f}" if np.isfinite(known) else ""),
        f"F1 of samples without a network: the most frequent labels {found.without:.4f}"
        + (f", a linear model {found.linear:.4f}" if found.linear is not None else ""),
    ]
    scores = found.f1
    weakest = [
        number for number in np.argsort(scores, kind="stable")[:3] if found.support[number] and scores[number] < 1
    ]
    if weakest:
        told.append(
            "lowest F1: " + ", ".join(f"{printable(found.names[number])} ({scores[number]:.4f})" for number in weakest)
        )
    return [line for text in told for line in textwrap.wrap(text, max(width, 20), subsequent_indent="  ")]


def as_json(found: LabelsVerdict) -> dict[str, Any]:
    """The verdict as plain values; what is not known is null."""
    shares = {
        "precision": _ratio(found.right, found.given),
        "recall": _ratio(found.right, found.support),
        "f1": found.f1,
        "roc_auc": found.roc_auc,
        "average_precision": found.average_precision,
    }
    return {
        "task": "multi_label",
        "examples": found.examples,
        "threshold": found.threshold,
        "exact_match": found.exact_match._asdict(),
        **{name: value._asdict() for name, value in zip(_MEANS, found.means, strict=True)},
        "mean_average_precision": _known(found.mean_average_precision),
        "baselines": {"most_frequent_labels_f1_samples": found.without, "linear_f1_samples": found.linear},
        "labels": [
            {
                "label": name,
                **{key: _known(values[number]) for key, values in shares.items()},
                "support": int(found.support[number]),
                "given": int(found.given[number]),
            }
            for number, name in enumerate(found.names)
        ],
    }


def _each(wanted: Array, given: Array) -> Array:
    """Of each example (n, 3k + 1): its right, given and wanted labels, and its F1."""
    parts = (wanted & given, given, wanted, _f1_of_samples(wanted, given)[:, None])
    return np.concatenate([part.astype(np.float64) for part in parts], axis=1)


def _values(means: Array) -> Array:
    """The values of _MEANS (…, 4) from the means of `_each`."""
    k = (means.shape[-1] - 1) // 3
    right, given, wanted = means[..., :k], means[..., k : 2 * k], means[..., 2 * k : 3 * k]
    micro = _ratio(2 * right.sum(axis=-1), given.sum(axis=-1) + wanted.sum(axis=-1))
    macro = _ratio(2 * right, given + wanted).mean(axis=-1)
    accuracy = 1 - (given + wanted - 2 * right).mean(axis=-1)
    return np.stack([means[..., -1], micro, macro, accuracy], axis=-1)


def _f1_of_samples(wanted: Array, given: Array) -> Array:
    """The F1 of the labels of each example, (n,); 1 where there are none and none is given."""
    both = (wanted & given).sum(axis=1)
    all_of_both = wanted.sum(axis=1) + given.sum(axis=1)
    return np.where(all_of_both > 0, 2 * both / np.maximum(all_of_both, 1), 1.0)


def _ratio(over: Array, under: Array) -> Array:
    """A quotient, 0 where it would be divided by zero."""
    return np.where(under > 0, over / np.where(under > 0, under, 1), 0.0)


def _mean(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _known(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
