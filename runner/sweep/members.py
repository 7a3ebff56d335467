"""Validates the members of a batch together, and names them by the values that vary."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from runner.errors import ConfigError, Fault
from runner.experiment import Experiment
from runner.observers.recorder import run_name
from runner.sweep.results import value_text
from runner.sweep.settings import Sweep
from runner.training.member import Context, Member, Value


@dataclass(frozen=True)
class Proposed:
    """A member before validation. `number` is Hydra's job number."""

    number: int
    varied: dict[str, Value]
    experiment: Experiment | ConfigError  # or the error that it has
    context: Context
    sweep: Sweep = field(default_factory=Sweep)

    @property
    def name(self) -> str:
        """The values that vary: `learning_rate=0.01 seed=3`."""
        return " ".join(f"{path.split('.')[-1]}={value_text(value)}" for path, value in self.varied.items())


def validated(proposed: Sequence[Proposed]) -> list[Member]:
    """The members, in order. Raises ConfigError with every fault of every member, each once."""
    members, faults = [], Faults()
    for one in proposed:
        if isinstance(one.experiment, ConfigError):
            faults.note(one, one.experiment)
        else:
            members.append(_member(one, one.experiment))
    faults.raise_any(len(proposed))
    return members


def _member(one: Proposed, experiment: Experiment) -> Member:
    changes = tuple(f"{path}={value_text(value)}" for path, value in one.varied.items())
    return Member(one.number, run_name(experiment, changes), experiment, one.context, one.varied, one.name)


class Faults:
    """Collects the faults of members, so that a fault of several is reported once, with their names."""

    def __init__(self) -> None:
        self._found: dict[Fault, list[Proposed | Member]] = {}

    def note(self, one: Proposed | Member, error: ConfigError) -> None:
        """Adds the faults of a member."""
        for fault in error.faults:
            self._found.setdefault(fault, []).append(one)

    def raise_any(self, count: int) -> None:
        """Raises ConfigError if there are faults; `count` is the number of all members."""
        if self._found:
            raise ConfigError(*(_with_member(fault, whose, count) for fault, whose in self._found.items()))


def _with_member(fault: Fault, whose: list[Proposed | Member], count: int) -> Fault:
    if len(whose) == count:  # all members have it
        return fault
    others = f" and {len(whose) - 1} more" if len(whose) > 1 else ""
    return Fault(fault.path, f"{fault.text} (member {whose[0].number}: {whose[0].name}{others})")
