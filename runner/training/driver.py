"""The driver: trains any number of members in one of three modes, and tells observers of it.

    sequential   one after another
    threaded     in as many threads as there are processors, each member as it would be alone
    vmapped      members that take the same steps as one mapped program

In sequence and in threads, each member runs the very program that it would run alone, and has the same numbers bit for
bit. Mapped, its numbers are the same to within rounding.
"""

import functools
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Final, Literal, NamedTuple

import jax

from runner import cores, endings, hosts, interrupts, nans
from runner.errors import ConvrunnerError, Fault, TrainingError
from runner.trained import Trained
from runner.training.alone import Chunk, Snapshot, Training
from runner.training.ledger import Ledger, retold
from runner.training.mapped import Mapped, MappedSnapshot
from runner.training.member import Member
from runner.training.observer import Events, Point
from runner.training.outcome import PRUNED, Outcome, outcome_of
from runner.training.plan import Plan
from runner.withheld import withheld

Mode = Literal["sequential", "threaded", "vmapped"]
Planned = Callable[[Member], Plan]  # raises ConvrunnerError if the member cannot be planned


# How long an interrupted process waits for the threads of its members, which save what they have.
_SECONDS_TO_SAVE: Final = 20.0


class Earlier(NamedTuple):
    """What earlier processes have left of the same trainings.

    `alone` and `together` give the state from which one member, or members of one mapped program, go on; None if they
    begin anew. `ended` has the numbers of members that ended. They are not trained again, but where others share a
    mapped program with them, so that it is the same program: then without a word to observers, for as many epochs as is
    said, or None until they end by themselves.
    """

    alone: Callable[[Member, Plan], Snapshot | None]
    together: Callable[[Sequence[Member], Sequence[Plan]], MappedSnapshot | None]
    ended: Mapping[int, int | None]


NOTHING: Final = Earlier(lambda member, plan: None, lambda members, plans: None, {})


class Ended(NamedTuple):
    """How a member ended: its outcome, and the error if there was one."""

    outcome: Outcome
    error: Exception | None


def train(
    members: Sequence[Member],
    plan_of: Planned,
    events: Events,
    *,
    mode: Mode = "sequential",
    most: int | None = None,
    earlier: Earlier = NOTHING,
    may_begin: Callable[[], bool] = lambda: True,
) -> list[Ended]:
    """Trains every member that has not ended, and tells observers of the events.

    Returns how each of these ended, in the order of the members. `may_begin` is asked before each member, or each
    mapped program: if it says no, that one is left as it is, and no observer hears of it.

    With mode vmapped all members take the same steps on the same data; `most` is how many are mapped at once.
    An error of one member ends that member alone. Raises KeyboardInterrupt, after the members under way have ended as
    KILLED.
    """
    driver = _Driver(plan_of, events, earlier)

    def begins(*own: Member) -> bool:
        return any(member.number not in earlier.ended for member in own) and may_begin()

    try:
        match mode:
            case "sequential":
                for member in members:
                    if begins(member):
                        driver.alone(member)
            case "threaded":
                driver.in_threads(members, begins)
            case "vmapped":
                for part in _parts(members, most or len(members)):
                    if begins(*part):
                        driver.mapped(part)
    except BaseException as error:
        driver.kill(interrupts.word(error) if isinstance(error, KeyboardInterrupt) else "")
        raise
    return [driver.ended[member.number] for member in members if member.number in driver.ended]


class _Driver:
    """One call of `train`."""

    def __init__(self, plan_of: Planned, events: Events, earlier: Earlier) -> None:
        self.plan_of, self.events, self.earlier = plan_of, events, earlier
        self.started: list[Member] = []
        self.ended: dict[int, Ended] = {}

    def alone(self, member: Member, stop: threading.Event | None = None) -> None:
        """Trains one member by itself."""
        self.started.append(member)
        under_way: list[Training] = []
        try:
            error = self._trained(member, under_way, stop)
            self.end(member, next(iter(under_way), None), error)
        except (KeyboardInterrupt, _Stopped):
            if under_way:
                self._reach(member, under_way[0], is_last=True)
            raise

    def _trained(self, member: Member, under_way: list[Training], stop: threading.Event | None) -> Exception | None:
        """Trains to the end, with the training in `under_way` once it is planned. Returns the error that ended it."""

        def report(chunk: Chunk) -> None:
            if stop is not None and stop.is_set():
                raise _Stopped
            self.events.chunk(member, chunk)
            self._reach(member, training)

        try:
            plan = self.plan_of(member)
            training = Training(plan, self.earlier.alone(member, plan))
            under_way.append(training)
            self.events.begins(member, plan)
            self._retell(member, training.ledger)
            while not training.has_ended:
                epoch = training.advance(report)
                if stop is not None and stop.is_set():
                    raise _Stopped
                if reason := self.events.epoch(member, epoch, training.ledger):
                    training.end(reason)
                self._reach(member, training)
        except Exception as error:  # noqa: BLE001 - an error of one member, even one of ours, costs no other
            return error
        return None

    def _reach(self, member: Member, training: Training, *, is_last: bool = False) -> None:
        """Tells observers that training can go on from here."""
        if is_last and not training.steps:
            return
        self.events.reaches(
            Point(
                (member,),
                (training.plan,),
                training.ledger,
                training.steps,
                is_last,
                is_mapped=False,
                snapshot=lambda: training.snapshot,
                present=lambda: training.present,
            )
        )

    def _retell(self, member: Member, ledger: Ledger) -> None:
        """Tells observers of the epochs of an earlier process. What they decided then is known."""
        for known in retold(ledger, member.experiment.train):
            self.events.epoch(member, known.history[-1], known)

    def in_threads(self, members: Sequence[Member], begins: Callable[[Member], bool]) -> None:
        """Trains members in as many threads as there are processors; the programs' own threads are one pool."""
        stop = threading.Event()

        def work(member: Member) -> None:
            if not stop.is_set() and begins(member):
                self.alone(member, stop)

        with ThreadPoolExecutor(cores.available(), thread_name_prefix="member") as pool:
            futures = [pool.submit(work, member) for member in members]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                wait(futures, _SECONDS_TO_SAVE)
                raise

    def mapped(self, members: Sequence[Member]) -> None:
        """Trains members as one program. If they do not fit in memory, each half by itself."""
        own = [member for member in members if member.number not in self.earlier.ended]
        if not own:
            return
        self.started.extend(own)
        left = dict(enumerate(members))
        error, is_crowded = self._trained_as_one(members, left)
        rest = list(left.values())
        if is_crowded and len(rest) > 1:
            del error  # which keeps all that is on the device
            for part in _parts(rest, (len(rest) + 1) // 2):
                self.mapped(part)
            return
        for member in rest:
            if member in own:
                self.end(member, None, error)

    def _trained_as_one(self, members: Sequence[Member], left: dict[int, Member]) -> tuple[Exception | None, bool]:
        """Trains members, and takes each that ended out of `left`, which is by index.

        Returns the error that ended those that are left, and whether they had no room from the start.
        """
        has_trained = False
        errors: dict[int, Exception] = {}
        ended = {
            index: self.earlier.ended[one.number] for index, one in left.items() if one.number in self.earlier.ended
        }
        mapped: Mapped | None = None

        def reach(mapped: Mapped, *, is_last: bool = False) -> None:
            if mapped.members and not (is_last and set(errors) & set(mapped.members)):
                ledger = mapped.ledgers[mapped.members[0]]
                self.events.reaches(
                    Point(tuple(members), mapped.plans, ledger, mapped.steps, is_last, True, lambda: mapped.snapshot)
                )

        try:
            plans = [self.plan_of(member) for member in members]
            mapped = group = Mapped(plans, self.earlier.together(members, plans))

            def tell(index: int, event: Callable[[], str | None]) -> None:
                if index in ended:
                    return
                try:
                    reason = event()
                except ConvrunnerError as error:
                    errors[index], reason = error, str(error)
                if reason:
                    group.end(index, reason)

            def report(index: int, chunk: Chunk) -> None:
                tell(index, lambda: self.events.chunk(members[index], chunk))
                if index == group.members[-1]:
                    reach(group)

            for index, member in enumerate(members):
                tell(index, functools.partial(self.events.begins, member, mapped.plans[index]))
                tell(index, functools.partial(self._retell, member, mapped.ledgers[index]))
            while True:
                for index, epochs in ended.items():
                    if epochs is not None and len(mapped.ledgers[index].history) >= epochs:
                        mapped.end(index, "ended before")
                for index, training in mapped.retire():
                    member = left.pop(index)
                    if index not in ended:
                        self.end(member, training, errors.get(index))
                if not mapped.members:
                    return None, False
                if has_trained:
                    reach(mapped)
                for index, epoch in mapped.advance(report):
                    has_trained = True
                    if isinstance(epoch, Exception):
                        errors[index] = epoch
                    elif index not in errors:
                        tell(index, functools.partial(self.events.epoch, members[index], epoch, mapped.ledgers[index]))
        except KeyboardInterrupt:
            if mapped is not None and mapped.steps:
                reach(mapped, is_last=True)
            raise
        except Exception as error:  # noqa: BLE001 - see `_trained`
            return error, not has_trained and _has_no_room(error)

    def end(self, member: Member, training: Training | None, error: Exception | None) -> None:
        """Ends a member: by an error, or well, and then it is measured on the test images."""
        outcome, trained = None, None
        if error is None and training is not None:
            outcome, trained, error = self._measured(member, training)
        if error is not None:
            error = _without_frames(explained(error))
            outcome = outcome_of(member, training, "FAILED", withheld(str(error).split("\n")[0]))
        assert outcome is not None, "a member without an error was trained"
        with interrupts.postponed():  # or its run could be finished in the store without a word to the search
            self.ended[member.number] = Ended(outcome, error)
            self.events.ends(member, outcome, trained)

    def _measured(self, member: Member, training: Training) -> tuple[Outcome | None, Trained | None, Exception | None]:
        reason = training.ledger.end_reason
        try:
            outcome = outcome_of(member, training, "PRUNED" if reason == PRUNED else "FINISHED", reason)
            return outcome, training.trained(outcome.metrics), None
        except Exception as error:  # noqa: BLE001 - see `_trained`
            return None, None, error

    def kill(self, reason: str) -> None:
        """Ends the members that started and have not ended, as the whole was interrupted."""
        for member in self.started:
            if member.number not in self.ended:
                self.events.ends(member, outcome_of(member, None, "KILLED", reason), None)


class _Stopped(BaseException):
    """The training was interrupted, so that a member's thread ends where it is."""


def explained(error: Exception) -> Exception:
    """The error that a user can understand: for memory that is full, and for a NaN that was searched for."""
    match error:
        case MemoryError():
            found: Exception = endings.out_of_memory(error)
        case FloatingPointError():
            found = nans.located(error)
        case _ if lost := hosts.explained(error):
            found = lost
        case _ if _has_no_room(error):
            reason = str(error).split("\n")[0]
            found = TrainingError(Fault("train.batch_size", f"must leave room in the device's memory ({reason})"))
        case _:
            return error
    found.__cause__ = error
    return found


def _without_frames(error: Exception) -> Exception:
    """The error with its traceback as a note: frames would keep what the member had on the device."""
    error.add_note("".join(traceback.format_exception(error)))
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _has_no_room(error: Exception) -> bool:
    """Whether JAX says that the memory of the device is full."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error).split("\n")[0]


def _parts(members: Sequence[Member], size: int) -> Iterator[Sequence[Member]]:
    for start in range(0, len(members), size):
        yield members[start : start + size]
