"""Observers are told of the events of a training: it begins, a chunk of steps was dispatched, an epoch, it ends.

Each event reaches each observer once for each member, in the order of the observers. If an observer raises, the others
are still told. A fifth event comes once for members that train together: training could go on from here.
"""

import logging
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from runner.errors import ConvrunnerError
from runner.train import Variables
from runner.trained import Trained
from runner.training.alone import Chunk, Snapshot
from runner.training.ledger import Epoch, Ledger
from runner.training.mapped import MappedSnapshot
from runner.training.member import Member
from runner.training.outcome import Outcome
from runner.training.plan import Plan
from runner.withheld import withheld

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Point(NamedTuple):
    """A point from which a training, or several that are one program, can go on: after a dispatch or an epoch."""

    members: tuple[Member, ...]
    plans: tuple[Plan, ...]
    ledger: Ledger  # of the first member that goes on
    steps: int  # taken so far
    is_last: bool  # the process is about to end
    is_mapped: bool  # the members are one program
    snapshot: Callable[[], Snapshot | MappedSnapshot]
    present: Callable[[], Variables] | None = None  # what is evaluated now, on the device; only of a member alone


class Observer:
    """Told of trainings; this one does nothing. If members train in threads, it is called from several of them.

    A ConvrunnerError from `begins`, `chunk` or `epoch`, such as a store that cannot be opened, is the user's to mend:
    it ends the training. Any other error is logged, and training goes on.
    """

    def begins(self, member: Member, plan: Plan) -> None:
        """The member is planned, and its first step comes next."""

    def chunk(self, member: Member, chunk: Chunk) -> None:
        """Some steps were given to the device."""

    def epoch(self, member: Member, epoch: Epoch, ledger: Ledger) -> str:
        """An epoch was trained and validated. Returns a reason to end training here, or an empty text."""
        del member, epoch, ledger
        return ""

    def reaches(self, point: Point) -> None:
        """Training can go on from this point, and does."""

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        """The training ended. `trained` is None if it did not go well. A member that cannot be planned only ends."""


class Events:
    """Tells observers of events, each once."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)
        # Most observers have no use for chunks, and one can take a few milliseconds only.
        self._of_chunks = [one for one in observers if type(one).chunk is not Observer.chunk]
        self._of_points = [one for one in observers if type(one).reaches is not Observer.reaches]
        self._lock = threading.Lock()
        self._begun: set[int] = set()
        self._ended: set[int] = set()
        self.errors: list[Exception] = []  # of observers, other than those that ended a training

    def begins(self, member: Member, plan: Plan) -> None:
        with self._lock:
            if member.number in self._begun:  # it begins again, with fewer members beside it
                return
            self._begun.add(member.number)
        self._tell(self._observers, lambda observer: observer.begins(member, plan))

    def chunk(self, member: Member, chunk: Chunk) -> None:
        self._tell(self._of_chunks, lambda observer: observer.chunk(member, chunk))

    def reaches(self, point: Point) -> None:
        self._tell(self._of_points, lambda observer: observer.reaches(point))

    def epoch(self, member: Member, epoch: Epoch, ledger: Ledger) -> str:
        """Returns the reason of the first observer that has one to end training here."""
        reasons = self._tell(self._observers, lambda observer: observer.epoch(member, epoch, ledger))
        return next(filter(None, reasons), "")

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        with self._lock:
            if member.number in self._ended:
                return
            self._ended.add(member.number)
        try:
            self._tell(self._observers, lambda observer: observer.ends(member, outcome, trained))
        except ConvrunnerError as error:  # there is nothing left to end
            self._note(error)

    def _tell(self, observers: Sequence[Observer], event: Callable[[Observer], T]) -> list[T]:
        """What the observers answer. Raises the first ConvrunnerError of one of them, after all were told."""
        answers: list[T] = []
        mistake: ConvrunnerError | None = None
        for observer in observers:
            try:
                answers.append(event(observer))
            except ConvrunnerError as error:
                mistake = mistake or error
            except Exception as error:  # noqa: BLE001 - whatever one observer does, the others are told
                self._note(error)
        if mistake is not None:
            raise mistake
        return answers

    def _note(self, error: Exception) -> None:
        self.errors.append(error)
        reason = withheld(str(error).split("\n")[0])
        _log.warning("training goes on, but something failed beside it: %s: %s", type(error).__name__, reason)
        _log.info(withheld("".join(traceback.format_exception(error))))
