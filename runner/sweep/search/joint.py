"""A search that several workers run together: each claims some members at a time, and reads what the others stored.

    >>> while asked := study.ask():  # also what a worker claimed that has ended
    ...     for one in asked: study.tell(train(one))
    >>> with study.leaving() as writes_report: print(writes_report)
    True

What a worker proposes depends on the members that have ended, and on those that are claimed. It is claimed only if no
other worker has claimed some in the meantime; else it is proposed again.
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

from runner.sweep.search.keeping import StoredMember, unpacked
from runner.sweep.search.study import BATCH, Key, Live, Study, Suggestion, key_of, retried
from runner.sweep.search.workers import Asked, Claim, Workers
from runner.training.outcome import Outcome

_REPORTED: Final = "reported"  # the number of members that the last report has
_BEGINNING: Final = "members before"  # the number of members that had ended before these workers began


class JointStudy(Study):
    """A running search of one of several workers."""

    is_joint = True

    def __init__(self, *arguments: Any, workers: Workers) -> None:
        super().__init__(*arguments)
        self._workers = workers
        self._members: list[StoredMember] = []
        self._told: dict[int, Outcome] = {}
        self._seen = 0  # trials that were read
        self._numbers = self._places = -1  # the highest of members that ended
        self._done: set[Key] = set()  # what is not proposed again
        self._pending: list[Asked] = []  # claimed and not ended
        self._mine: tuple[Asked, ...] = ()
        self._grid = self._space.grid()
        # Else what others trained is of no use for what is proposed, and need not be in memory.
        self._compares = self._settings.sampler != "grid" or self._settings.pruner.name != "none"
        self._has_taken_over = self._is_over = False
        if workers.is_first:
            self._share()
        self._beginning = int(self.recall(_BEGINNING) or 0)
        self._earlier, self._live = [], {}
        self.refresh()

    def _share(self) -> None:
        """As the first worker: leaves members that a single process has not ended to all workers."""
        size = self._settings.batch
        for start in range(0, len(self._interrupted), size):
            part = self._interrupted[start : start + size]
            if any(own.number in self._live for own in part):
                self._workers.leave_to_others(part)
        self._interrupted, self._ended_before = [], {}
        self.remember(BATCH, "[]")
        self.remember(_BEGINNING, str(len(unpacked(self._stored.get_trials(deepcopy=False)))))

    # Asking -----------------------------------------------------------------------------------------------------

    def ask(self, most: int | None = None) -> list[Suggestion]:
        """Claims members that a worker has left, or else new ones, at most `sweep.batch`; or none for now."""
        size = self._settings.batch
        with self._lock:
            self._has_taken_over, self._ended_before = False, {}
            while True:
                if asked := self._left_by_others(self._read()):
                    return asked
                self._live, self._retries = {}, retried(self._members[: self._beginning], self._taken)
                self._prepare()
                asked = self._new(self._grid, size if most is None else min(most, size))
                self._is_over = not asked and not self._pending
                if not asked:
                    return []
                self._mine = tuple(self._asked(one.number) for one in asked)
                if self._workers.claim(self._mine):
                    self._remember_excluded()
                    return asked
                # Another worker was first.
                self._grid = itertools.chain([own.chosen for own in self._mine], self._grid)
                self._excluded = []

    def _prepare(self) -> dict[int, Live]:
        """Makes the study in memory anew. Returns the members that are claimed, as far as they are in it."""
        if self._compares:
            return self._fill(self._members, self._pending)
        self._fill([], [])
        self._offset = 1 + max([self._places, *(own.place for own in self._pending)])
        return {}

    def _left_by_others(self, claims: Sequence[Claim]) -> list[Suggestion]:
        """Takes over what a worker claimed that has ended, also with the members that had ended."""
        for claim in self._workers.free(claims):
            waiting = [own for own in claim.members if own.number not in self._told]
            if not waiting:
                self._workers.end(claim)
                continue
            if not self._workers.take_over(claim):
                continue
            self._mine, lives = claim.members, self._prepare()
            if not self._compares:
                lives = {own.number: Live(self._fixed_trial(own.chosen), own.place, own.chosen) for own in waiting}
            self._live = {own.number: lives[own.number] for own in waiting}
            self._ended_before = {
                own.number: self._told[own.number] for own in claim.members if own.number in self._told
            }
            self._has_taken_over = True
            return [self._suggestion(own.number, own.chosen) for own in claim.members]
        return []

    # Results ----------------------------------------------------------------------------------------------------

    def tell(self, result: Outcome) -> None:
        """Stores the result of a member, unless another worker has taken it over."""
        with self._lock:
            if not self._workers.is_mine(self._mine):
                self._live.pop(result.number, None)
                return
            super().tell(result)
            self._end_claim()

    def adopt(self, result: Outcome) -> None:
        """Stores a member that ended before its worker could call `tell`."""
        with self._lock:
            super().adopt(result)
            self._end_claim()

    def _end_claim(self) -> None:
        if self._mine and not self._live:
            self._workers.end_mine(self._mine)
            self._mine = ()

    # Other workers ----------------------------------------------------------------------------------------------

    def turn(self) -> AbstractContextManager[None]:
        """Lets no other worker begin or end the sweep during the block; waits for its turn."""
        return self._workers.turn()

    def refresh(self) -> None:
        """Reads what other workers have stored."""
        with self._lock:
            self._read()

    def _read(self) -> list[Claim]:
        claims = self._workers.claims()  # before members: one that ends in between is in both
        trials = self._stored.get_trials(deepcopy=False)
        for member in unpacked(trials[self._seen :]):
            self._members.append(member)
            self._told[member.result.number] = member.result
            self._numbers = max(self._numbers, member.result.number)
            self._places = max(self._places, member.place)
            # Members that failed are trained again by those who begin the sweep again, not by those who join it.
            if member.is_done or len(self._members) > self._beginning:
                self._earlier.append(member.result)
                self._done.add(key_of(member.chosen))
        self._seen = len(trials)
        self._pending = [own for claim in claims for own in claim.members if own.number not in self._told]
        self._taken = self._done | {key_of(own.chosen) for own in self._pending}
        self._next = 1 + max([self._numbers, *(own.number for claim in claims for own in claim.members)])
        return claims

    def earlier(self) -> list[Outcome]:
        """The members that have ended, of all workers, without those to be tried again."""
        with self._lock:
            return list({own.number: own for own in self._earlier}.values())

    def concerns(self, number: int) -> bool:
        """Whether this worker decides on the run of a member: of what it took over, or of what nobody has claimed."""
        if self._live:
            return number in self._live
        return all(own.number != number for own in self._pending)

    @property
    def others_train(self) -> bool:
        """Whether members that others claimed have not ended; their workers may die."""
        return not self._is_over

    @property
    def is_first(self) -> bool:
        """Whether no other worker was there when this one joined."""
        return self._workers.is_first

    @property
    def has_taken_over(self) -> bool:
        """Whether `ask` has returned members of a worker that has ended."""
        return self._has_taken_over

    def suggested(self, number: int) -> Suggestion:
        """A member that has ended, of any worker."""
        return next(self._suggestion(number, own.chosen) for own in self._members if own.result.number == number)

    def others(self) -> int:
        """How many other workers there are."""
        return len(self._workers.others())

    @contextmanager
    def leaving(self) -> Iterator[bool]:
        """Yields whether this worker writes the report: if all members have ended, or if it is the last one."""
        with self.turn():
            self.refresh()
            count = str(len(self._members))
            has_all = self.recall(_REPORTED) == count
            writes = not has_all if self._is_over else not (self.others() or (has_all and not self._pending))
            yield writes
            if writes:
                self.remember(_REPORTED, count)

    def importances(self) -> dict[str, float]:
        """The importance of each path for the first metric, over the members of all workers."""
        with self._lock:
            self._fill(self._members, [])
            return super().importances()
