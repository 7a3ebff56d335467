"""Validates the members of a batch together, names them by the values that vary, and tags their runs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from runner.errors import ConfigError, Fault
from runner.experiment import Experiment
from runner.observers.contents import run_name
from runner.path_names import short_names
from runner.sweep.results import value_text, varied_text
from runner.sweep.settings import Sweep
from runner.sweep.tags import MEMBER, STATUS
from runner.tracking import begun
from runner.training.member import Context, Member, Value
from runner.training.outcome import Outcome
from runner.training.plan import Plan


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


def going_on(member: Member) -> Member:
    """The member, and that it goes on, if an earlier process has begun it in its folder."""
    found = begun.read(member.context.folder)
    goes_on = found is not None and found.overrides == member.context.overrides
    return replace(member, context=replace(member.context, goes_on=True)) if goes_on else member


def identity_tags(member: Member, plan: Plan) -> dict[str, str]:
    """The tag by which a killed sweep finds its member again. It must be stored together with the run."""
    identity = {
        "number": member.number,
        "name": member.name,
        "varied": member.varied,
        "overrides": member.context.overrides,
        "folder": str(member.context.folder),
        "parameters": plan.totals.parameters,
        "multiply_adds": plan.totals.multiply_adds,
    }
    return {MEMBER: json.dumps(identity)}


def ending_tags(outcome: Outcome) -> dict[str, str]:
    """The tags of a member's end; none for a killed member, which is trained again."""
    if outcome.status == "KILLED":
        return {}
    reason = {"end_reason": outcome.reason} if outcome.reason and outcome.status != "FAILED" else {}
    return {STATUS: outcome.status} | reason


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
