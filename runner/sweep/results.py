"""The result of a sweep as plain values, for the table and the report."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from runner.path_names import short_names
from runner.sweep.settings import Objectives
from runner.training.member import Value
from runner.training.outcome import Outcome


@dataclass(frozen=True)
class SweepResult:
    """The result of a sweep so far."""

    name: str
    command: str
    objectives: Objectives
    space: dict[str, str]  # by path, the values that vary, as typed
    members: tuple[Outcome, ...]
    earlier: int = 0  # of the members ended before this start of the sweep
    importances: dict[str, float] = field(default_factory=dict)  # by path, the share of the variance
    seconds: float = 0.0  # of wall time
    groups: int = 0  # structures
    compiles: int = 0  # of the training step
    seconds_saved: float = 0.0  # of compilation, compared with one for every member
    run_id: str = ""
    places: tuple[str, ...] = ()  # the options of the command that locate configurations

    @property
    def names(self) -> dict[str, str]:
        """By path, the short names of the values that vary."""
        return short_names(dict.fromkeys((*self.space, *(path for one in self.members for path in one.varied))))


def value_text(value: Value) -> str:
    """A value as text, numbers with four digits."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def varied_text(varied: Mapping[str, Value], names: Mapping[str, str]) -> str:
    """Values by the names of their paths: `learning_rate=0.01 seed=3`."""
    return " ".join(f"{names[path]}={value_text(value)}" for path, value in varied.items())


def objective(result: Outcome, name: str) -> float | None:
    """A member's value of a metric or a cost; None if it has none."""
    if name in ("parameters", "multiply_adds", "seconds"):
        return float(getattr(result, name))
    return result.metrics.get(name)


def return_value(result: Outcome, objectives: Objectives) -> float | tuple[float | None, ...] | None:
    """The return value of a job, as Hydra's sweepers expect it: its objective, or a tuple of several."""
    values = tuple(objective(result, name) for name, _ in objectives)
    return values[0] if len(values) == 1 else values


def curve_names(result: SweepResult) -> list[str]:
    """The metrics that are drawn by epoch, the one that ranks members first."""
    names = (result.objectives[0][0].replace("best/val_", "val/"), "val/accuracy", "val/loss", "train/loss")
    measured = dict.fromkeys(name for member in result.members for epoch in member.history for name in epoch)
    others = (name for name in measured if name.startswith("val/"))  # those of `train.metrics`
    return [name for name in dict.fromkeys((*names, *others)) if name in measured]


def ranked(results: Iterable[Outcome], objectives: Objectives) -> list[Outcome]:
    """Members that finished, the best by the first objective first; of equal ones the earlier first."""
    name, direction = objectives[0]
    sign = -1.0 if direction == "maximize" else 1.0
    values = ((objective(result, name), result) for result in results if result.status == "FINISHED")
    known = [
        (sign * value, result.number, result) for value, result in values if value is not None and not math.isnan(value)
    ]
    return [result for *_, result in sorted(known, key=lambda entry: entry[:2])]
