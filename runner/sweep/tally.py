"""Collects and compares the outcomes of a sweep's members, and reports them to the search once they are recorded."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final, Protocol

from runner import interrupts, tracking
from runner.observers.recorder import Recorder
from runner.sweep.results import ranked
from runner.sweep.settings import Objectives
from runner.trained import Trained
from runner.training.ledger import Epoch, Ledger
from runner.training.member import Member
from runner.training.observer import Observer
from runner.training.outcome import PRUNED, Outcome, best_of
from runner.training.plan import Plan

RUN_ID: Final = "run_id"


class Told(Protocol):
    """Whoever is told of outcomes once they are recorded."""

    def earlier(self) -> list[Outcome]:
        """The outcomes of members that ended in earlier sessions."""

    def tell(self, outcome: Outcome) -> None:
        """Stores the final outcome of a member."""

    def remember(self, name: str, text: str) -> None:
        """Stores a short text under a name."""


class Search(Told, Protocol):
    """The search that proposes a sweep's members; see `runner.sweep.search`."""

    @property
    def id(self) -> str: ...
    @property
    def tags(self) -> dict[str, str]: ...
    @property
    def mark(self) -> tuple[str, str]: ...
    @property
    def is_joint(self) -> bool:
        """Whether other processes may train members of it at the same time."""

    @property
    def objectives(self) -> Objectives: ...
    @property
    def space(self) -> dict[str, str]: ...

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Reports a value of a member during training. Returns whether to prune it."""

    def ended_before(self) -> dict[int, Outcome]:
        """The members that had ended of the batch in which an earlier session was killed, by number."""

    def is_waiting_for(self, number: int) -> bool:
        """Whether a member has been proposed and has not ended."""

    def adopt(self, outcome: Outcome) -> None:
        """Stores the outcome of a member of an earlier session, which was killed before it called `tell`."""

    def refresh(self) -> None:
        """Reads what other processes have stored."""

    def concerns(self, number: int) -> bool:
        """Whether this process decides on the run of a member that has not ended."""

    def turn(self) -> AbstractContextManager[None]:
        """Lets no other process begin or end the sweep during the block."""

    def others(self) -> int:
        """How many other processes train the sweep."""

    def leaving(self) -> AbstractContextManager[bool]:
        """Ends the part of this process in the sweep. Yields whether it writes the report."""

    def importances(self) -> dict[str, float]:
        """By path, the share of each varied value in the variance between members."""

    def recall(self, name: str) -> str | None:
        """The text stored under a name, if any."""


class Leader:
    """The best outcome so far: each new one is compared with it alone."""

    def __init__(self, objectives: Objectives, earlier: Iterable[Outcome] = ()) -> None:
        self.objectives = objectives
        self._best = next(iter(ranked(earlier, objectives)), None)

    def is_beaten_by(self, outcome: Outcome) -> bool:
        """Whether an outcome is better than all earlier ones; if so, it becomes the best."""
        before = [self._best] if self._best else []
        if ranked([*before, outcome], self.objectives)[:1] != [outcome]:
            return False
        self._best = outcome
        return True


class Pruner(Observer):
    """Ends members that the search prunes. A search with several objectives prunes none."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._epochs: dict[int, int] = {}

    def begins(self, member: Member, plan: Plan) -> None:
        self._epochs[member.number] = plan.epochs

    def epoch(self, member: Member, epoch: Epoch, ledger: Ledger) -> str:
        [(metric, _), *others] = self._search.objectives
        value = (epoch.metrics | best_of(ledger)).get(metric)
        if others or value is None or not self._search.report(member.number, epoch.number, value):
            return ""
        return PRUNED if epoch.number < self._epochs[member.number] else ""


class Tally(Observer):
    """Collects outcomes. Comes after the recorder."""

    def __init__(self, recorder: Recorder, parent: tracking.Run, search: Told | None) -> None:
        self._recorder, self._parent, self._search = recorder, parent, search
        earlier = search.earlier() if search else []
        self.outcomes = {outcome.number: outcome for outcome in earlier}  # by number, of earlier sessions too
        self.earlier = frozenset(self.outcomes)  # the numbers of members that ended in earlier sessions
        self.compile_seconds: dict[str, list[float]] = {}  # by group, of the members that ended here
        self._lock = threading.RLock()
        self._ended: deque[tuple[tracking.Run, Outcome]] = deque()  # not reported to the search yet
        self._parent_known = False

    def epoch(self, member: Member, epoch: Epoch, ledger: Ledger) -> str:
        self._remember_parent()
        return ""

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        if outcome.status == "KILLED":  # trained again by the next command
            return
        recorded = self._recorder.run_of(member.number)
        with self._lock:
            self.outcomes[outcome.number] = outcome
            self.compile_seconds.setdefault(outcome.group, []).append(outcome.metrics.get("seconds/compile", 0.0))
            if recorded is not None:
                self._ended.append((recorded, outcome))
            elif self._search is not None:
                self._search.tell(outcome)
        self.settle()

    def learn(self, outcomes: Iterable[Outcome]) -> None:
        """Adds members that other processes trained."""
        with self._lock:
            self.outcomes = {own.number: own for own in outcomes} | self.outcomes

    def settle(self, *, wait: bool = False, report: Callable[[str], None] = lambda text: None) -> None:
        """Reports members whose runs are stored to the search; with `wait`, all that ended.

        A sweep that is killed between the two steps finds the missing members in the store. `report` is called with
        what is being done.
        """
        with self._lock:
            while self._ended and (wait or self._ended[0][0].ended):
                recorded, outcome = self._ended[0]
                recorded.wait(report)  # writes a local copy if the store failed
                self._remember_parent()
                with interrupts.postponed():  # or the outcome could be lost on its way to the search
                    self._ended.popleft()
                    known = replace(outcome, run_id=recorded.known_id)
                    self.outcomes[outcome.number] = known
                    if self._search is not None:
                        self._search.tell(known)

    def _remember_parent(self) -> None:
        """Stores the id of the parent run in the search as soon as it exists, in case the sweep is killed."""
        with self._lock:
            if self._search is not None and not self._parent_known and self._parent.begun:
                self._search.remember(RUN_ID, self._parent.known_id)
                self._parent_known = True
