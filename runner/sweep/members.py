"""Validates the members of a batch together, and names them by the values that vary."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from runner.errors import ConfigError, Fault
from runner.experiment import Experiment
from runner.observers.recorder import run_name
from runner.path_names import short_names
from runner.sweep.results import value_text, varied_text
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


def validated(proposed: Sequence[Proposed], space: Iterable[str] = ()) -> list[Member]:
    """The members, in order; `space` are the paths of the sweep, of which these members may vary only some.

    Raises ConfigError with every fault of every member, each once.
    """
    members, faults = [], Faults()
    names = short_names(dict.fromkeys((*space, *(path for one in proposed for path in one.varied))))
    for one in proposed:
        if isinstance(one.experiment, ConfigError):
            faults.note(one.number, varied_text(one.varied, names), one.experiment)
        else:
            members.append(_member(one, one.experiment, names))
    faults.raise_any(len(proposed))
    return members


def _member(one: Proposed, experiment: Experiment, names: Mapping[str, str]) -> Member:
    changes = tuple(f"{path}={value_text(value)}" for path, value in one.varied.items())
    title = run_name(experiment, changes, names)
    return Member(one.number, title, experiment, one.context, one.varied, varied_text(one.varied, names))


class Faults:
    """Collects the faults of members, so that a fault of several is reported once, with their names."""

    def __init__(self) -> None:
        self._found: dict[Fault, list[tuple[int, str]]] = {}

    def note(self, number: int, name: str, error: ConfigError) -> None:
        """Adds the faults of a member."""
        for fault in error.faults:
            self._found.setdefault(fault, []).append((number, name))

    def raise_any(self, count: int) -> None:
        """Raises ConfigError if there are faults; `count` is the number of all members."""
        if self._found:
            raise ConfigError(*(_with_member(fault, whose, count) for fault, whose in self._found.items()))


def _with_member(fault: Fault, whose: list[tuple[int, str]], count: int) -> Fault:
    if len(whose) == count:  # all members have it
        return fault
    others = f" and {len(whose) - 1} more" if len(whose) > 1 else ""
    number, name = whose[0]
    return Fault(fault.path, f"{fault.text} (member {number}: {name}{others})")
