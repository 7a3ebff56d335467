"""The result of a training, of a single run and of a member of a sweep alike: plain values that can be stored."""

from dataclasses import dataclass, field, replace
from typing import Final, Literal

from runner.training.alone import Training
from runner.training.ledger import Ledger
from runner.training.member import Member, Value

Status = Literal["FINISHED", "FAILED", "PRUNED", "KILLED"]
PRUNED: Final = "pruned"  # the reason of a training that a search ended early
# The metrics with one value for a whole training; all others have one for each epoch.
ONCE: Final = ("best/", "test/", "seconds/")


@dataclass(frozen=True)
class Outcome:
    """The result of one training. `number`, `name`, `overrides` and `varied` are those of its member."""

    number: int
    name: str
    overrides: tuple[str, ...]
    varied: dict[str, Value]
    status: Status
    reason: str = ""  # why it ended early or failed, in one line
    run_id: str = ""  # MLflow's; empty if tracking is off
    folder: str = ""
    group: str = ""  # the compiled program that it shares
    metrics: dict[str, float] = field(default_factory=dict)  # of the last epoch, and those of `once`
    history: tuple[dict[str, float], ...] = ()  # metrics of every epoch
    parameters: int = 0
    multiply_adds: int = 0
    seconds: float = 0.0  # of training

    @property
    def once(self) -> dict[str, float]:
        """The metrics with one value for the whole training: best/…, test/… and seconds/…."""
        return {name: value for name, value in self.metrics.items() if name.startswith(ONCE)}


def outcome_of(member: Member, training: Training | None, status: Status, reason: str = "") -> Outcome:
    """The result of a member that was trained so far; `training` is None if it was never planned.

    Only what has FINISHED is measured on the test images: here, and once.
    """
    outcome = Outcome(
        number=member.number,
        name=member.name,
        overrides=member.context.overrides,
        varied=dict(member.varied),
        status=status,
        reason=reason,
        folder=str(member.context.folder),
    )
    if training is None:
        return outcome
    ledger, totals = training.ledger, training.plan.totals
    once = training.test() if status == "FINISHED" else {}
    if status in ("FINISHED", "PRUNED"):
        once |= best_of(ledger)
        once |= {"seconds/compile": ledger.compile_seconds, "seconds/train": ledger.train_seconds}
    return replace(
        outcome,
        group=training.plan.group,
        metrics=(dict(ledger.history[-1].metrics) if ledger.history else {}) | once,
        history=tuple(epoch.metrics for epoch in ledger.history),
        parameters=totals.parameters,
        multiply_adds=totals.multiply_adds,
        seconds=ledger.train_seconds,
    )


def best_of(ledger: Ledger) -> dict[str, float]:
    """The epoch that `train.monitor` finds best, and its validation; nothing if no epoch has a finite value."""
    if ledger.best is None:
        return {}
    measured = {name: value for name, value in ledger.best.metrics.items() if name.startswith("val/")}
    found = {f"best/{name.replace('/', '_')}": value for name, value in measured.items()}
    return found | {"best/epoch": float(ledger.best.number)}
