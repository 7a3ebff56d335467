"""The whole verdict on the answers to test examples, as a value, and as the JSON that a run records.

>>> labels, probabilities = np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
>>> found = judged(labels, probabilities, ("cat", "dog"))
>>> round(found.accuracy.value, 3), found.classes.support.tolist()
(0.667, [1, 2])
"""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from runner.verdicts import answers
from runner.verdicts.areas import Areas, areas
from runner.verdicts.baselines import Linear, Majority
from runner.verdicts.calibration import BINS, Reliability, reliability, temperature, tempered
from runner.verdicts.classes import ByClass, balanced_accuracy, by_class, confusion, macro, weighted
from runner.verdicts.intervals import RESAMPLES, Measured, bounded, ece_by_chance, of_classes, wilson

Array = np.ndarray[Any, Any]
FILE: Final = "verdict.json"
LEAST_CLASSES: Final = 6  # for the share of examples whose class is among the five most probable ones
_MEANS: Final = ("precision", "recall", "f1")
_MISTAKES: Final = 20  # pairs of classes
# Numbers that curves are sorted from: with more, as of a thousand classes, areas are left out.
_SORTED: Final = 20_000_000


class Baselines(NamedTuple):
    """What needs no network; `linear` is None where it is left out, and `why_not` says why."""

    majority: Majority
    linear: Linear | None
    why_not: str = ""


class Tempered(NamedTuple):
    """A temperature fitted to so many validation examples, and the bins of the test answers with it."""

    temperature: float
    examples: int
    reliability: Reliability


@dataclass(frozen=True, eq=False)
class Verdict:
    """All that is measured of answers. `names` are those of the classes; arrays are (k,), or (k, k) for `counts`.

    `areas` is None if there are too many examples and classes.
    """

    names: tuple[str, ...]
    counts: Array
    classes: ByClass
    accuracy: Measured
    balanced_accuracy: Measured
    macro: tuple[Measured, ...]  # precision, recall and F1
    weighted: tuple[Measured, ...]
    precisions: tuple[Measured, ...]  # of each class; its interval is 0 to 1 if it has no examples
    recalls: tuple[Measured, ...]
    f1s: tuple[Measured, ...]
    top_5: Measured | None
    areas: Areas | None
    reliability: Reliability
    ece_by_chance: float
    tempered: Tempered | None = None
    baselines: Baselines | None = None

    @property
    def examples(self) -> int:
        """The number of answers."""
        return int(self.counts.sum())


def judged(
    labels: Array,
    probabilities: Array,
    names: tuple[str, ...],
    *,
    validation: tuple[Array, Array] | None = None,
    baselines: Baselines | None = None,
) -> Verdict:
    """The verdict on probabilities (n, k) for labels (n,), at least one.

    `validation` are labels (m,) and probabilities (m, k) to which a temperature is fitted.
    """
    taken, confidences = answers(probabilities)
    right, counts = taken == labels, confusion(labels, taken, len(names))
    found = by_class(counts)
    means = of_classes(counts, _values)
    k = len(names)
    hits = np.diagonal(counts)
    return Verdict(
        names=names,
        counts=counts,
        classes=found,
        accuracy=wilson(int(right.sum()), len(labels)),
        balanced_accuracy=means[0],
        macro=tuple(means[1:4]),
        weighted=tuple(means[4:7]),
        precisions=_of_each(means[7 : 7 + k], found.support),
        recalls=tuple(
            wilson(int(hit), int(all_)) if all_ else Measured(0.0, 0.0, 1.0)
            for hit, all_ in zip(hits, found.support, strict=True)
        ),
        f1s=_of_each(means[7 + k :], found.support),
        top_5=wilson(_among(labels, probabilities, 5), len(labels)) if len(names) >= LEAST_CLASSES else None,
        areas=areas(labels, np.nan_to_num(probabilities)) if probabilities.size <= _SORTED else None,
        reliability=reliability(right, confidences),
        ece_by_chance=ece_by_chance(confidences),
        tempered=_tempered(labels, probabilities, validation) if validation and len(validation[0]) else None,
        baselines=baselines,
    )


def _values(found: ByClass) -> Array:
    """Balanced accuracy, the macro and the weighted means, precision and F1 of each class (…, 7 + 2k)."""
    means = np.stack([balanced_accuracy(found), *macro(found), *weighted(found)], axis=-1)
    return np.concatenate([means, found.precision, found.f1], axis=-1)


def _of_each(found: list[Measured], support: Array) -> tuple[Measured, ...]:
    pairs = zip(found, support, strict=True)
    return tuple(one if examples else Measured(one.value, 0.0, 1.0) for one, examples in pairs)


def _among(labels: Array, probabilities: Array, count: int) -> int:
    """How many examples have fewer than `count` classes before their own; of equal ones the lower number is before."""
    own = probabilities[np.arange(len(labels)), labels][:, None]
    numbers = np.arange(probabilities.shape[1])
    before = (probabilities > own) | ((probabilities == own) & (numbers < labels[:, None]))
    return int(np.sum(before.sum(axis=1) < count))


def _tempered(labels: Array, probabilities: Array, validation: tuple[Array, Array]) -> Tempered:
    own, theirs = (np.nan_to_num(values) for values in (probabilities, validation[1]))
    found = temperature(validation[0], theirs)
    taken, confidences = answers(tempered(own, found))
    return Tempered(found, len(theirs), reliability(taken == labels, confidences))


def mistakes(counts: Array, most: int = _MISTAKES) -> list[tuple[int, int, int]]:
    """The most frequent mistakes: true class, taken class, count."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    found = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = ((int(place) // len(wrong), int(place) % len(wrong)) for place in found)
    return [(true, taken, int(wrong[true, taken])) for true, taken in pairs if wrong[true, taken]]


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain values; what is not known is null."""
    found = verdict.reliability
    return {
        "examples": verdict.examples,
        "accuracy": _measured(verdict.accuracy),
        "balanced_accuracy": _measured(verdict.balanced_accuracy),
        "top_5_accuracy": _measured(verdict.top_5),
        "macro": dict(zip(_MEANS, map(_measured, verdict.macro), strict=True)),
        "weighted": dict(zip(_MEANS, map(_measured, verdict.weighted), strict=True)),
        "roc_auc_macro": _known(verdict.areas and verdict.areas.macro_roc_auc),
        "average_precision_macro": _known(verdict.areas and verdict.areas.macro_average_precision),
        # Of the intervals by the bootstrap; all others are Wilson's.
        "resamples": {
            "classes_and_means": bounded(RESAMPLES, int(np.count_nonzero(verdict.counts))),
            "areas": verdict.areas.resamples if verdict.areas else None,
            "ece_by_chance": bounded(RESAMPLES, verdict.examples),
        },
        "baselines": _baselines(verdict),
        "calibration": {
            "ece": found.ece,
            "ece_95_percent_by_chance": verdict.ece_by_chance,
            "temperature": verdict.tempered.temperature if verdict.tempered else None,
            "validation_examples": verdict.tempered.examples if verdict.tempered else None,
            "ece_with_temperature": verdict.tempered.reliability.ece if verdict.tempered else None,
            "bins": [
                {"to": (number + 1) / BINS, "count": int(count), "confidence": float(said), "accuracy": float(was)}
                for number, (count, said, was) in enumerate(
                    zip(found.counts, found.confidence, found.accuracy, strict=True)
                )
            ],
        },
        "classes": [_of_class(verdict, number) for number in range(len(verdict.names))],
        "mistakes": [
            {"true": verdict.names[true], "taken": verdict.names[taken], "count": count}
            for true, taken, count in mistakes(verdict.counts)
        ],
    }


def _of_class(verdict: Verdict, number: int) -> dict[str, Any]:
    found = verdict.classes
    return {
        "class": verdict.names[number],
        "precision": _measured(verdict.precisions[number]),
        "recall": _measured(verdict.recalls[number]),
        "f1": _measured(verdict.f1s[number]),
        "support": int(found.support[number]),
        "roc_auc": _known(verdict.areas and verdict.areas.roc_auc[number]),
        "average_precision": _known(verdict.areas and verdict.areas.average_precision[number]),
    }


def _known(found: Measured | None) -> dict[str, float | None] | None:
    """A number that may be NaN, with an interval that may be so."""
    if found is None or not np.isfinite(found.value):
        return None
    return {name: value if np.isfinite(value) else None for name, value in found._asdict().items()}


def _measured(found: Measured | None) -> dict[str, float] | None:
    return found._asdict() if found else None


def _baselines(verdict: Verdict) -> dict[str, Any] | None:
    if (known := verdict.baselines) is None:
        return None
    linear: dict[str, Any] = {"left_out": known.why_not}
    if known.linear is not None:
        own = known.linear
        linear = {
            "accuracy": own.right / verdict.examples,
            "train_examples": own.examples,
            "values": own.values,
            "pixels_averaged": own.block,
        }
    most = known.majority
    return {"majority": {"class": verdict.names[most.number], "accuracy": most.accuracy}, "linear": linear}
