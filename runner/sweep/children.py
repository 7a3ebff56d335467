"""The runs of a sweep's members: each is begun, told of and ended as it would be alone, under one parent."""

import json
import logging
import threading
import traceback
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from runner import recording, tracking
from runner.errors import ConvrunnerError
from runner.launchable import launchable
from runner.loop import Epoch, Loop
from runner.recording import Context
from runner.sweep.announcing import Announcer
from runner.sweep.members import Member
from runner.sweep.results import MemberResult, Objectives, Status, ranked
from runner.sweep.tags import MEMBER, STATUS
from runner.withheld import withheld

_log = logging.getLogger(__name__)
PRUNED: Final = "pruned"
# MLflow knows no pruned runs: one that is ended on purpose before its time is a killed one.
_IN_MLFLOW: Final[Mapping[Status, tracking.Status]] = {
    "FINISHED": "FINISHED",
    "FAILED": "FAILED",
    "PRUNED": "KILLED",
    "KILLED": "KILLED",
}
RUN_ID: Final = "run_id"


class Search(Protocol):
    """What a sweep needs of the search that proposes its members; see `runner.sweep.study`."""

    @property
    def id(self) -> str: ...
    @property
    def tags(self) -> dict[str, str]: ...
    @property
    def mark(self) -> tuple[str, str]: ...
    @property
    def objectives(self) -> Objectives: ...
    @property
    def space(self) -> dict[str, str]: ...

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Takes note of a value of a member that trains. Returns whether it should be pruned."""

    def tell(self, result: MemberResult) -> None:
        """Takes note of a member that ended, for good."""

    def earlier(self) -> list[MemberResult]:
        """The members that ended before."""

    def adopt(self, result: MemberResult) -> None:
        """Takes note of a member that ended before, though nobody came to say so."""

    def importances(self) -> dict[str, float]:
        """The share of each thing varied in what makes members differ."""

    def remember(self, name: str, text: str) -> None:
        """Keeps a short text with the search."""

    def recall(self, name: str) -> str | None:
        """The text that was kept."""


@dataclass(frozen=True)
class _Active:
    """A member that trains, and its run."""

    member: Member
    recorded: tracking.Run
    context: Context


@dataclass(frozen=True)
class _Best:
    """The best member so far, with what it learnt."""

    member: Member
    loop: Loop
    recorded: tracking.Run
    context: Context


class Children:
    """The members of a sweep that train, and what those that ended came to. See `strategies.Watch`."""

    def __init__(
        self, tags: Mapping[str, str], command: str, objectives: Objectives, study: Search | None = None
    ) -> None:
        self.tags, self.command, self.objectives, self.study = tags, command, objectives, study
        self.parent: tracking.Run | None = None
        self.log_models = "best"
        earlier = study.earlier() if study else []
        self.results = {result.number: result for result in earlier}  # by number
        self._leader = next(iter(ranked(earlier, objectives)), None)  # the best result, of earlier sessions too
        self.best: _Best | None = None  # of those that ended here
        self.compile_seconds: dict[str, list[float]] = {}  # by group, of every member
        self.announcer = Announcer(objectives[0][0])
        self.announcer.goes_on_from(len(earlier))
        self._lock = threading.RLock()
        self._active: dict[int, _Active] = {}
        self._ended: deque[tuple[tracking.Run, MemberResult]] = deque()  # of which the search has not been told
        self._parent_known = False

    def compare_by(self, objectives: Objectives) -> None:
        """Takes the metrics that decide which member is the best."""
        self.objectives, self.announcer.metric = objectives, objectives[0][0]

    def begins(self, member: Member, loop: Loop) -> None:
        """Begins the member's run."""
        proposed = member.proposed
        identity = {
            "number": member.number,
            "name": proposed.name,
            "varied": proposed.varied,
            "overrides": proposed.overrides,
            "folder": str(proposed.folder),
            "parameters": loop.totals.parameters,
            "multiply_adds": loop.totals.multiply_adds,
        }
        # Known to the store as soon as the run is: a run without them is nobody's when this process is killed.
        tags = {**self.tags, MEMBER: json.dumps(identity)}
        if member.number in self._active:  # it begins again, with fewer members beside it
            return
        proposed.folder.mkdir(parents=True, exist_ok=True)
        secret = proposed.from_environment
        config = launchable(proposed.config, "config", "trains this member again", secret)
        context = Context(proposed.folder, proposed.tracking, config, secret, proposed.overrides, self.command, tags)
        recorded = recording.begin(member.experiment, context, loop.placement, parent=self.parent, name=member.name)
        with self._lock:
            self._active[member.number] = _Active(member, recorded, context)
        recording.note_data(recorded, loop, secret)

    def epoch(self, member: Member, loop: Loop, epoch: Epoch) -> str:
        """Records an epoch. Returns why the member should end, where the search has no more use for it."""
        self._active[member.number].recorded.log_metrics(epoch.metrics, step=epoch.number)
        self._remember_parent()
        if self.study is None or len(self.objectives) > 1:
            return ""
        value = (epoch.metrics | recording.best(loop)).get(self.objectives[0][0])
        hopeless = value is not None and self.study.report(member.number, epoch.number, value)
        return PRUNED if hopeless and epoch.number < loop.epoch_count else ""

    def ends(self, member: Member, loop: Loop | None, error: Exception | None) -> None:
        """Ends the member's run as what happened."""
        with self._lock:
            active = self._active.pop(member.number, None)
        status: Status = "FAILED" if error else "PRUNED" if loop and loop.end_reason == PRUNED else "FINISHED"
        result = _result(member, loop, status, error)
        if error is not None and not isinstance(error, ConvrunnerError):
            _log.error("%s\n%s", result.reason, "".join(traceback.format_exception(error)))
        if active is None or loop is None:
            self._note(None, result)
            return
        recorded = active.recorded
        if error is not None:
            recorded.set_tags({"failure": result.reason})
        else:
            once = (
                recording.known_once(loop) if status == "FINISHED" else recording.best(loop) | recording.seconds(loop)
            )
            recorded.log_metrics(once, step=0)
            result = replace(result, metrics=result.metrics | once)
            self._keep(active, loop, result)
        recorded.set_tags({STATUS: status} | ({"end_reason": loop.end_reason} if loop.end_reason else {}))
        recorded.end(_IN_MLFLOW[status])
        with self._lock:
            self.compile_seconds.setdefault(result.group, []).append(loop.compile_seconds)
        self._note(recorded, result)

    def _keep(self, active: _Active, loop: Loop, result: MemberResult) -> None:
        """Logs figures and the model of a member; where only the best one's are wanted, its parameters until later."""
        if self.log_models == "all":
            recording.log_figures(active.recorded, loop)
            recording.log_model(active.recorded, loop, active.context)
        with self._lock:
            before = [self._leader] if self._leader else []
            if ranked([*before, result], self.objectives)[:1] == [result]:
                self._leader, self.best = result, _Best(active.member, loop, active.recorded, active.context)
                if self.log_models == "best":
                    recording.log_weights(active.recorded, loop, active.context)

    def log_best(self) -> None:
        """Logs figures and the model, which takes a second to make, of the best member that trained here."""
        if self.log_models != "best" or self.best is None:
            return
        loop = self.best.loop
        recorded = tracking.reopen(self.best.recorded)
        recording.log_figures(recorded, loop)
        recording.log_model(recorded, loop, self.best.context)
        recorded.finish("FINISHED")

    def _note(self, recorded: tracking.Run | None, result: MemberResult) -> None:
        with self._lock:
            self.results[result.number] = result
            self.announcer.ended(result)
            if recorded is not None:
                self._ended.append((recorded, result))
            elif self.study is not None:
                self.study.tell(result)
        self.settle()

    def _remember_parent(self) -> None:
        """Has the search know the sweep's run as soon as the store has made it, for a sweep that is killed."""
        with self._lock:
            if self.study is not None and self.parent is not None and not self._parent_known and self.parent.begun:
                self.study.remember(RUN_ID, self.parent.known_id)
                self._parent_known = True

    def settle(self, *, wait: bool = False) -> None:
        """Tells the search of members whose runs the store has; with `wait`, of all that ended.

        In this order, so that a sweep that is killed in between finds in the store what the search does not know.
        """
        with self._lock:
            while self._ended and (wait or self._ended[0][0].ended):
                recorded, result = self._ended.popleft()
                recorded.wait()  # it keeps what the store did not take
                self._remember_parent()
                known = replace(result, run_id=recorded.known_id)
                self.results[result.number] = known
                if self.study is not None:
                    self.study.tell(known)

    def interrupt(self) -> None:
        """Ends the runs of members that still train."""
        with self._lock:
            while self._active:
                _, active = self._active.popitem()
                active.recorded.finish("KILLED")


def _result(member: Member, loop: Loop | None, status: Status, error: Exception | None) -> MemberResult:
    proposed = member.proposed
    facts: dict[str, Any] = {}
    if loop is not None:
        facts = {
            "group": recording.group(loop),
            "metrics": dict(loop.history[-1].metrics) if loop.history else {},
            "history": tuple(epoch.metrics for epoch in loop.history),
            "parameters": loop.totals.parameters,
            "multiply_adds": loop.totals.multiply_adds,
            "seconds": loop.train_seconds,
        }
    reason = withheld(str(error).split("\n")[0]) if error is not None else loop.end_reason if loop is not None else ""
    return MemberResult(
        number=member.number,
        name=proposed.name,
        overrides=proposed.overrides,
        varied=proposed.varied,
        status=status,
        reason=reason,
        folder=str(proposed.folder),
        **facts,
    )
