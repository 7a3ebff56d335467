"""Trains the groups of a sweep in other processes: their outcomes, and the best network, come back to this one."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner import tracking, trained
from runner.errors import ConfigError
from runner.observers.artifacts import Finished
from runner.observers.recorder import Recorder
from runner.placement import Placement
from runner.sweep.engines.distributing import Engine, distribute, parts
from runner.sweep.engines.groups import Group
from runner.sweep.engines.work import Work
from runner.sweep.settings import Objectives, Sweep
from runner.sweep.tally import Leader
from runner.tracking.messages import Opening
from runner.training.member import Member
from runner.training.observer import Events
from runner.training.outcome import Outcome
from runner.training.plan import Plan


def parent_of(run: tracking.Run) -> Opening:
    """The opening of a sweep's run for other processes. Waits until the store has the run. Raises TrackingError."""
    return replace(run.opening, run_id=run.run_id or None)


@dataclass(frozen=True)
class Elsewhere:
    """A sweep whose members train in processes of an engine; `opening` is that of its run, whose id is known."""

    engine: Engine
    settings: Sweep
    objectives: Objectives
    sweep: str  # its identity
    folder: Path
    parent: tracking.Run
    opening: Opening
    recorder: Recorder
    events: Events  # of those that are told of members as they end
    leader: Leader
    plan_of: Callable[[Placement, Member], Plan]

    def train(self, groups: Sequence[Group], seconds: float | None, *, begins: bool) -> None:
        """Trains every member. After so many seconds none begins, but with `begins` the first one does."""
        works = [
            Work(
                members=members,
                settings=self.settings,
                objectives=self.objectives,
                sweep=self.sweep,
                parent=self.opening,
                folder=self.folder,
                working_folder=Path.cwd(),
                until=None if seconds is None else time.time() + seconds,
                begins=begins and index == 0,
            )
            for index, members in enumerate(parts(groups, self.engine.workers))
        ]
        best: list[tuple[Member, Outcome]] = []

        def ended(member: Member, outcome: Outcome) -> None:
            if self.leader.is_beaten_by(outcome):
                best[:] = [(member, outcome)]
            self.events.ends(member, outcome, None)

        try:
            distribute(works, self.settings, self.engine, ended)
        finally:
            for member, outcome in best:
                here = next(group.placement for group in groups if member in group.members)
                self._adopt(member, outcome, here)

    def _adopt(self, member: Member, outcome: Outcome, here: Placement) -> None:
        """Takes the best member, which another process has trained, as one of this process: its model is logged."""
        adopt(self.recorder, member, outcome, self.plan_of(here, member), here, self.opening)


def adopt(recorder: Recorder, member: Member, outcome: Outcome, plan: Plan, here: Placement, opening: Opening) -> bool:
    """Takes a member that another process has trained as one of this process, if its weights are in its folder.

    `opening` is that of the sweep's run. Returns whether the weights are there.
    """
    folder, enabled = member.context.folder, member.context.tracking.enabled
    try:
        network = trained.load(folder, member.experiment)
    except ConfigError:  # tracking.log_model=false, or the folder is on another machine
        return False
    found = Finished(member, plan, outcome, network.on(here))
    own = replace(opening, run_name=member.title, run_id=outcome.run_id or None, identity="")
    recorder.adopt(found, tracking.Run.of_another_process(own, folder, enabled=enabled, parent=recorder.parent))
    return True
