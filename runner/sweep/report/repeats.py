"""Configurations that a sweep repeats with other seeds or folds: their means, and which of them really differ."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from scipy import special

from runner.sweep.results import objective
from runner.training.member import Value
from runner.training.outcome import Outcome

# A configuration is repeated with other values of these, by path; the words name their values.
REPEATS: Final = {"seed": "seeds", "data.fold": "folds"}
_FOLD: Final = list(REPEATS).index("data.fold")
SIGNIFICANT: Final = 0.05

Repeat = tuple[Value, ...]
"""The values of `REPEATS` of a member, in their order; None for one that does not vary."""


@dataclass(frozen=True)
class Mean:
    """The mean over members that differ only in `REPEATS`; `interval` is half of its 95 % confidence interval."""

    varied: dict[str, Value]
    values: dict[Repeat, float]
    mean: float
    deviation: float
    interval: float


def over_repeats(members: Sequence[Outcome], name: str) -> list[Mean]:
    """The means of a metric over seeds and folds, in the order of the members.

    Members without a finite value are left out, and then groups of one member.

    The interval is Student's, for few values: t(0.975, n − 1) s √(1 / n + r). Members that train on other folds of the
    same images are not independent, and r = 1 / (folds − 1) corrects for it; else r = 0. Source: Nadeau & Bengio 2003,
    doi:10.1023/A:1024068626366, and for several seeds of each fold Bouckaert & Frank 2004,
    doi:10.1007/978-3-540-24775-3_3.
    """
    groups: dict[tuple[tuple[str, Value], ...], dict[Repeat, float]] = {}
    for member in members:
        value = objective(member, name)
        if value is None or not math.isfinite(value) or member.status != "FINISHED":
            continue
        if any(path in member.varied for path in REPEATS):
            rest = tuple((path, item) for path, item in member.varied.items() if path not in REPEATS)
            groups.setdefault(rest, {})[tuple(member.varied.get(path) for path in REPEATS)] = value
    found = []
    for rest, values in groups.items():
        if len(values) > 1:
            deviation = statistics.stdev(values.values())
            interval = float(special.stdtrit(len(values) - 1, 0.975)) * deviation * _error(values)
            found.append(Mean(dict(rest), values, statistics.fmean(values.values()), deviation, interval))
    return found


def repeated(means: Iterable[Mean]) -> str:
    """What differs between the members of a mean: `seeds`, `folds`, or `seeds and folds`."""
    keys = [repeat for mean in means for repeat in mean.values]
    return " and ".join(
        word for index, word in enumerate(REPEATS.values()) if any(key[index] is not None for key in keys)
    )


def _error(values: Iterable[Repeat]) -> float:
    """The standard error of a mean over these members, as a multiple of their deviation; see `over_repeats`."""
    repeats = list(values)
    folds = len({repeat[_FOLD] for repeat in repeats})
    return math.sqrt(1 / len(repeats) + (1 / (folds - 1) if folds > 1 else 0))


@dataclass(frozen=True)
class Comparison:
    """A configuration against the best one, paired by seed and fold. `p` is corrected for the number of comparisons."""

    difference: float  # of the means over the `pairs` that both have
    pairs: int
    p: float

    @property
    def is_significant(self) -> bool:
        """Whether so large a difference is rare between equal configurations."""
        return self.p < SIGNIFICANT


def against_best(means: Sequence[Mean], best: Mean) -> dict[int, Comparison]:
    """Student's paired t-test of each mean against the best one, by the index of the mean.

    Means without two common repeats have none. p-values are two-sided, and corrected by Holm 1979 (Scand. J. Stat.
    6:65). Differences that are all the same have no deviation that could be estimated: their p is that of a sign test.
    """
    raw: dict[int, Comparison] = {}
    for index, mean in enumerate(means):
        common = [repeat for repeat in best.values if repeat in mean.values]
        if mean.varied != best.varied and len(common) > 1:
            raw[index] = _paired([mean.values[repeat] - best.values[repeat] for repeat in common], _error(common))
    found, largest = {}, 0.0
    for rank, (index, one) in enumerate(sorted(raw.items(), key=lambda item: item[1].p)):
        largest = max(largest, min(1.0, one.p * (len(raw) - rank)))
        found[index] = Comparison(one.difference, one.pairs, largest)
    return found


def _paired(differences: Sequence[float], error: float) -> Comparison:
    mean, deviation, count = statistics.fmean(differences), statistics.stdev(differences), len(differences)
    if deviation <= 1e-9 * max(abs(mean), 1e-300):  # equal but for rounding
        p = 1.0 if mean == 0 else 2.0 ** (1 - count)
    else:
        p = 2 * float(special.stdtr(count - 1, -abs(mean) / (deviation * error)))
    return Comparison(mean, count, p)
