"""Members that ended, as trials of Optuna that are written once, and read back as they were.

A trial is written with its values and parameters in Optuna's own columns, which its other tools read, and with all
else in one attribute: a row for every epoch would take ten times as long.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from optuna.trial import FrozenTrial, TrialState, create_trial

from runner.sweep.results import MemberResult

_MEMBER: Final = "member"
DONE: Final = ("FINISHED", "PRUNED")


@dataclass(frozen=True)
class Kept:
    """A member that ended: its trial, what was chosen for it by path, and what it came to."""

    trial: FrozenTrial
    place: int  # the number of its trial while it trained
    chosen: dict[str, str]
    result: MemberResult

    @property
    def is_done(self) -> bool:
        """Whether it is not to be trained again."""
        return self.result.status in DONE


def packed(trial: FrozenTrial, chosen: Mapping[str, str], result: MemberResult) -> FrozenTrial:
    """A trial to be written."""
    member = {
        "place": trial.number,
        "chosen": dict(chosen),
        "result": asdict(result),
        "reports": trial.intermediate_values,
        "marks": trial.system_attrs,  # where samplers and pruners note who came how far
    }
    return create_trial(
        state=trial.state,
        params=trial.params,
        distributions=trial.distributions,
        values=trial.values if trial.state is TrialState.COMPLETE else None,
        user_attrs={_MEMBER: member},
    )


def unpacked(stored: Iterable[FrozenTrial]) -> list[Kept]:
    """The members that were written, as they were; trials that others wrote are none of them."""
    return [_unpacked(trial) for trial in stored if _MEMBER in trial.user_attrs]


def _unpacked(stored: FrozenTrial) -> Kept:
    member: dict[str, Any] = stored.user_attrs[_MEMBER]
    fields = dict(member["result"])
    history, overrides = tuple(fields.pop("history")), tuple(fields.pop("overrides"))
    trial = create_trial(
        state=stored.state,
        params=stored.params,
        distributions=stored.distributions,
        values=stored.values,
        intermediate_values={int(epoch): value for epoch, value in member["reports"].items()},
        system_attrs=member["marks"],
    )
    result = MemberResult(overrides=overrides, history=history, **fields)
    return Kept(trial, member["place"], member["chosen"], result)


def in_place(kept: Iterable[Kept]) -> list[FrozenTrial]:
    """The trials of members, each with the number that it had: hyperband deals them out by it.

    Proposals that came to nothing leave failed trials where they stood.
    """
    trials: list[FrozenTrial] = []
    for one in sorted(kept, key=lambda one: one.place):
        trials += [create_trial(state=TrialState.FAIL)] * (one.place - len(trials))
        trials.append(one.trial)
    return trials
