"""What a sweep and its members came to: plain values, from which the table, the report and the state are made."""

from dataclasses import dataclass, field
from typing import Literal

Status = Literal["FINISHED", "FAILED", "PRUNED", "KILLED"]
Value = int | float | bool | str | None


@dataclass(frozen=True)
class MemberResult:
    """What one member came to. `number` is Hydra's job number, which is unique in a sweep."""

    number: int
    name: str  # what varies, as the run is called: "learning_rate=0.01 seed=3"
    overrides: tuple[str, ...]  # as one would write them on the command line
    varied: dict[str, Value]  # by dotted path or group name, what the sweep varies; typed, not text
    status: Status
    reason: str = ""  # why it ended early or failed, in one line
    run_id: str = ""  # MLflow's; empty where tracking is off
    folder: str = ""
    group: str = ""  # the compiled program that it shares
    metrics: dict[str, float] = field(
        default_factory=dict
    )  # of the last epoch, and what is known once (best/…, test/…)
    history: tuple[dict[str, float], ...] = ()  # metrics of every epoch
    parameters: int = 0
    multiply_adds: int = 0
    seconds: float = 0.0  # of training


@dataclass(frozen=True)
class SweepResult:
    """What a sweep came to, so far."""

    name: str
    command: str
    objectives: tuple[tuple[str, Literal["maximize", "minimize"]], ...]  # (metric name, direction); the first ranks
    space: dict[str, str]  # what is varied, as it was written
    members: tuple[MemberResult, ...]
    importances: dict[str, float] = field(default_factory=dict)  # share of the variance, by what is varied
    seconds: float = 0.0  # of wall time
    groups: int = 0  # structures
    compiles: int = 0  # of the training step
    seconds_saved: float = 0.0  # of compilation, against one for every member
    run_id: str = ""
