"""Stores ended members as trials of Optuna, and reads them back.

The values and parameters of a trial are in Optuna's own columns, which other tools read. Everything else is in one
attribute, because a row for every epoch would take ten times as long.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from runner.training.outcome import Outcome

_MEMBER: Final = "member"
DONE: Final = ("FINISHED", "PRUNED")


@dataclass(frozen=True)
class StoredMember:
    """A member that ended: its trial, its chosen values by path, and its result."""

    trial: FrozenTrial
    place: int  # the number of its trial during training
    chosen: dict[str, str]
    result: Outcome

    @property
    def is_done(self) -> bool:
        """Whether it need not be trained again."""
        return self.result.status in DONE


def packed(trial: FrozenTrial, place: int, chosen: Mapping[str, str], result: Outcome) -> FrozenTrial:
    """Converts a trial for storage; `place` is its number in the whole sweep."""
    member = {
        "place": place,
        "chosen": dict(chosen),
        "result": asdict(result),
        "reports": trial.intermediate_values,
        "marks": trial.system_attrs,  # the notes of samplers and pruners
    }
    return create_trial(
        state=trial.state,
        params=trial.params,
        distributions=trial.distributions,
        values=trial.values if trial.state is TrialState.COMPLETE else None,
        user_attrs={_MEMBER: member},
    )


def unpacked(stored: Iterable[FrozenTrial]) -> list[StoredMember]:
    """Reads the stored members; trials written by other programs are ignored."""
    return [_unpacked(trial) for trial in stored if _MEMBER in trial.user_attrs]


def _unpacked(stored: FrozenTrial) -> StoredMember:
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
    result = Outcome(overrides=overrides, history=history, **fields)
    return StoredMember(trial, member["place"], member["chosen"], result)


def renumbered(
    members: Iterable[StoredMember],
    waiting: Mapping[int, dict[str, Any]],
    excluded: Mapping[int, tuple[dict[str, Any], dict[str, BaseDistribution]]],
) -> list[FrozenTrial]:
    """The trials of members, each with its original number, which hyperband uses to assign brackets.

    `waiting` has by number the notes of trials that are asked again, `excluded` the parameters and distributions of
    proposals that broke a constraint. Numbers of other discarded proposals are filled with failed trials.
    """
    placed = {member.place: member.trial for member in members}
    for place, (params, distributions) in excluded.items():
        placed[place] = create_trial(state=TrialState.PRUNED, params=params, distributions=distributions)
    for place, marks in waiting.items():
        placed[place] = create_trial(state=TrialState.WAITING, system_attrs=marks)
    count = max(placed, default=-1) + 1
    return [placed.get(place) or create_trial(state=TrialState.FAIL) for place in range(count)]
