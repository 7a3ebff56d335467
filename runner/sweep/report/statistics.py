"""Statistics over members: means over seeds with confidence intervals, and the Pareto front of several objectives."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special

from runner.sweep.results import objective, ranked
from runner.sweep.settings import Objectives
from runner.training.member import Value
from runner.training.outcome import Outcome

SEED = "seed"


@dataclass(frozen=True)
class Mean:
    """The mean over members that differ only in their seeds; `interval` is half of its 95 % confidence interval."""

    varied: dict[str, Value]
    values: tuple[float, ...]
    mean: float
    deviation: float
    interval: float


def over_seeds(members: Sequence[Outcome], name: str) -> list[Mean]:
    """The means of a metric over seeds, in the order of the members; groups with only one seed are left out.

    The interval is Student's, for few values: t(0.975, n − 1) s / √n.
    """
    groups: dict[tuple[tuple[str, Value], ...], list[float]] = {}
    for member in members:
        value = objective(member, name)
        if member.status == "FINISHED" and value is not None and SEED in member.varied:
            rest = tuple((path, item) for path, item in member.varied.items() if path != SEED)
            groups.setdefault(rest, []).append(value)
    found = []
    for rest, values in groups.items():
        if len(values) > 1:
            deviation = statistics.stdev(values)
            interval = float(special.stdtrit(len(values) - 1, 0.975)) * deviation / math.sqrt(len(values))
            found.append(Mean(dict(rest), tuple(values), statistics.fmean(values), deviation, interval))
    return found


def leaders(members: Sequence[Outcome], objectives: Objectives) -> list[Outcome]:
    """The finished members, the best first; with several objectives only their Pareto front."""
    return front(members, objectives) if len(objectives) > 1 else ranked(members, objectives)


def front(members: Sequence[Outcome], objectives: Objectives) -> list[Outcome]:
    """The Pareto front: finished members, unless another is at least as good in all objectives and better in one."""
    scored = []
    for member in members:
        values = [objective(member, name) for name, _ in objectives]
        known = [value for value in values if value is not None and not math.isnan(value)]
        if member.status == "FINISHED" and len(known) == len(values):
            signed = (value if way == "minimize" else -value for value, (_, way) in zip(known, objectives, strict=True))
            scored.append((tuple(signed), member))
    # In this order, a dominated member comes after one that dominates it.
    optimal: list[tuple[tuple[float, ...], Outcome]] = []
    for own, member in sorted(scored, key=lambda entry: (entry[0], entry[1].number)):
        if not any(other != own and all(a <= b for a, b in zip(other, own, strict=True)) for other, _ in optimal):
            optimal.append((own, member))
    return [member for _, member in optimal]
