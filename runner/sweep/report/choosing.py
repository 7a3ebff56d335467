"""The best of the members: the first by the metric or the Pareto front, and what choosing it makes of its metric."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from runner.sweep.results import objective, ranked
from runner.sweep.settings import Objectives
from runner.training.outcome import Outcome


@dataclass(frozen=True)
class Optimism:
    """How much better validation is than test: of the member that was chosen by it, and of all members on average."""

    metric: str  # of validation
    members: int
    chosen: tuple[float, float]  # validation, test
    gap: float  # of the chosen one; positive if validation looks better
    usual_gap: float


def optimism(members: Sequence[Outcome], objectives: Objectives) -> Optimism | None:
    """What choosing the best of the finished members by a metric of validation makes of that metric.

    None for fewer than two members, and for objectives that are not measured on the test images too.
    """
    name, direction = objectives[0]
    test = tested(name)
    known = [
        (value, measured)
        for member in ranked(members, objectives)
        if (value := objective(member, name)) is not None and (measured := objective(member, test)) is not None
    ]
    if test == name or len(known) < 2:
        return None
    sign = 1 if direction == "maximize" else -1
    gaps = [sign * (value - measured) for value, measured in known]
    return Optimism(name, len(known), known[0], gaps[0], statistics.fmean(gaps))


def tested(name: str) -> str:
    """The metric of the test images that belongs to a metric of validation; other names are their own."""
    return name.replace("best/val_", "test/").replace("val/", "test/")


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
