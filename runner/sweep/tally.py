"""The outcomes of a sweep's members: counted, compared, and told to the search once their runs are recorded."""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, Protocol

from runner import tracking
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


class Search(Protocol):
    """What a sweep needs of the search that proposes its members; see `runner.sweep.search`."""

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
        """Takes a value of a member that trains. Returns whether it should be pruned."""

    def tell(self, outcome: Outcome) -> None:
        """Takes the outcome of a member, for good."""

    def earlier(self) -> list[Outcome]:
        """The outcomes of members that ended in earlier sessions."""

    def adopt(self, outcome: Outcome) -> None:
        """Takes the outcome of a member that ended in an earlier session, which was killed before it said so."""

    def importances(self) -> dict[str, float]:
        """The share of each varied thing in the differences between members."""

    def remember(self, name: str, text: str) -> None:
        """Keeps a short text with the search."""

    def recall(self, name: str) -> str | None:
        """The text that was kept."""


class Leader:
    """The best outcome so far: each new one is compared with it alone."""

    def __init__(self, objectives: Objectives, earlier: Iterable[Outcome] = ()) -> None:
        self.objectives = objectives
        self._best = next(iter(ranked(earlier, objectives)), None)

    def is_beaten_by(self, outcome: Outcome) -> bool:
        """Whether an outcome is better than all before; it is the best from then on."""
        before = [self._best] if self._best else []
        if ranked([*before, outcome], self.objectives)[:1] != [outcome]:
            return False
        self._best = outcome
        return True


class Pruner(Observer):
    """Ends members that the search gives up. A search for several objectives prunes none."""

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

    def __init__(self, recorder: Recorder, parent: tracking.Run, search: Search | None) -> None:
        self._recorder, self._parent, self._search = recorder, parent, search
        earlier = search.earlier() if search else []
        self.outcomes = {outcome.number: outcome for outcome in earlier}  # by number, of earlier sessions too
        self.compile_seconds: dict[str, list[float]] = {}  # by group, of the members that ended here
        self._lock = threading.RLock()
        self._ended: deque[tuple[tracking.Run, Outcome]] = deque()  # that the search does not know yet
        self._parent_known = False

    def epoch(self, member: Member, epoch: Epoch, ledger: Ledger) -> str:
        self._remember_parent()
        return ""

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        if outcome.status == "KILLED":  # it is trained the next time
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

    def settle(self, *, wait: bool = False) -> None:
        """Tells the search of members whose runs the store has; with `wait`, of all that ended.

        In this order, so that a sweep that is killed in between finds in the store what the search does not know.
        """
        with self._lock:
            while self._ended and (wait or self._ended[0][0].ended):
                recorded, outcome = self._ended.popleft()
                recorded.wait()  # it keeps what the store did not take
                self._remember_parent()
                known = replace(outcome, run_id=recorded.known_id)
                self.outcomes[outcome.number] = known
                if self._search is not None:
                    self._search.tell(known)

    def _remember_parent(self) -> None:
        """Lets the search know the sweep's run as soon as the store has made it, in case the sweep is killed."""
        with self._lock:
            if self._search is not None and not self._parent_known and self._parent.begun:
                self._search.remember(RUN_ID, self._parent.known_id)
                self._parent_known = True
