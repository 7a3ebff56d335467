"""The result of a sweep: plain values, from which the table and the report are made."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from runner.sweep.settings import Objectives
from runner.training.member import Value
from runner.training.outcome import Outcome


@dataclass(frozen=True)
class SweepResult:
    """What a sweep came to, so far."""

    name: str
    command: str
    objectives: Objectives
    space: dict[str, str]  # what is varied, as it was written
    members: tuple[Outcome, ...]
    importances: dict[str, float] = field(default_factory=dict)  # share of the variance, by what is varied
    seconds: float = 0.0  # of wall time
    groups: int = 0  # structures
    compiles: int = 0  # of the training step
    seconds_saved: float = 0.0  # of compilation, against one for every member
    run_id: str = ""
    places: tuple[str, ...] = ()  # of the command's options, those that say where configurations lie


def value_text(value: Value) -> str:
    """A value as one would write it, numbers to four digits."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def objective(result: Outcome, name: str) -> float | None:
    """What a member came to by a metric or a cost; None where it never came to one."""
    if name in ("parameters", "multiply_adds", "seconds"):
        return float(getattr(result, name))
    return result.metrics.get(name)


def ranked(results: Iterable[Outcome], objectives: Objectives) -> list[Outcome]:
    """Members that finished, the best by the first objective first; the earlier one where two are as good."""
    name, direction = objectives[0]
    sign = -1.0 if direction == "maximize" else 1.0
    values = ((objective(result, name), result) for result in results if result.status == "FINISHED")
    known = [
        (sign * value, result.number, result) for value, result in values if value is not None and not math.isnan(value)
    ]
    return [result for *_, result in sorted(known, key=lambda entry: entry[:2])]
