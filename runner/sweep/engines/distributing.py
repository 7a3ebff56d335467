"""Divides the groups of a sweep among other processes, hears of their outcomes, and replaces processes that die."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from runner.errors import ConfigError
from runner.sweep.engines.groups import Group
from runner.sweep.engines.handover import forget, read
from runner.sweep.engines.work import Work
from runner.sweep.settings import Sweep
from runner.training.member import Member
from runner.training.outcome import Outcome, outcome_of
from runner.withheld import withheld

MOST_RETRIES: Final = 2
_SECONDS: Final = 0.3  # between two looks at the outcomes, at least
_SHARE: Final = 0.1  # of the time that looks take: with 10,000 members one takes as long as the pause
_log = logging.getLogger(__name__)


class DiedError(Exception):
    """The process that trained some work has died; the text says why, as far as the engine knows."""


class Task(Protocol):
    """Some work in another process."""

    def has_ended(self) -> bool:
        """Whether the process has done its work, or has failed."""

    def check(self) -> None:
        """Raises DiedError if the process died, and else the error that it raised, if any."""

    def cancel(self) -> None:
        """Ends the process."""


class Engine(Protocol):
    """Starts work in other processes."""

    @property
    def workers(self) -> int:
        """How many processes work at once."""

    def start(self, works: Sequence[Work]) -> list[Task]:
        """Starts a process for each work as soon as there is room."""

    def close(self) -> None:
        """Ends all processes."""


def parts(groups: Sequence[Group], workers: int) -> list[tuple[Member, ...]]:
    """Divides each group evenly; members of one part can share a mapped program."""
    found = []
    for group in groups:
        for together in group.lockstep:
            size = -(-len(together) // workers)
            found += [together[start : start + size] for start in range(0, len(together), size)]
    return found


@dataclass
class _Running:
    work: Work
    task: Task
    waiting: dict[int, Member] = field(default_factory=dict)  # members whose outcome is not known
    deaths: int = 0


def distribute(
    works: Sequence[Work], settings: Sweep, engine: Engine, ended: Callable[[Member, Outcome], None]
) -> None:
    """Trains all works in processes of the engine, and calls `ended` for each member as its outcome is known.

    What a process that dies has not finished is trained again in another one, at most `MOST_RETRIES` times.
    Members that do not begin, as the time is over, have no outcome. An interrupt ends all processes.
    """
    waiting = [_waiting(work, ended) for work in works]
    left = [(work, members) for work, members in zip(works, waiting, strict=True) if members]
    tasks = engine.start([work for work, _ in left]) if left else []
    running = [_Running(work, task, members) for (work, members), task in zip(left, tasks, strict=True)]
    try:
        while running:
            looked = 0.0
            for one in list(running):
                is_over = one.task.has_ended()  # before the outcomes are read
                began = time.perf_counter()
                new = list(_new(one))
                looked += time.perf_counter() - began
                for member, outcome in new:
                    ended(member, outcome)
                if is_over:
                    running.remove(one)
                    running += _after(one, settings, engine, ended)
            if running:
                time.sleep(max(_SECONDS, looked / _SHARE))
    except BaseException:
        for one in running:
            one.task.cancel()
        raise


def _waiting(work: Work, ended: Callable[[Member, Outcome], None]) -> dict[int, Member]:
    """The members to train, by number, those that failed among them.

    Others finished while the command was killed, and their outcomes are taken.
    """
    found = {}
    for member in work.members:
        outcome = read(member, work.sweep)
        if outcome is not None and outcome.status == "FINISHED":
            ended(member, outcome)
        else:
            forget(member)
            found[member.number] = member
    return found


def _new(one: _Running) -> Iterator[tuple[Member, Outcome]]:
    for number, member in list(one.waiting.items()):
        if outcome := read(member, one.work.sweep):
            del one.waiting[number]
            yield member, outcome


def _after(one: _Running, settings: Sweep, engine: Engine, ended: Callable[[Member, Outcome], None]) -> list[_Running]:
    """What comes after a process: another one if it died, and nothing if it has done its work."""
    reason = ""
    try:
        one.task.check()
    except DiedError as error:
        reason = withheld(str(error).split("\n")[0])
        if one.waiting and one.deaths < MOST_RETRIES:
            _log.warning(
                "a process of sweep.engine=%s has died (%s); another one goes on with its %d members",
                settings.engine,
                reason,
                len(one.waiting),
            )
            [task] = engine.start([one.work])
            return [_Running(one.work, task, one.waiting, one.deaths + 1)]
        reason = f"its process has died {one.deaths + 1} times ({reason})"
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a process raised
        reason = withheld(f"{type(error).__name__}: {error}".split("\n")[0])
    if reason or one.work.until is None:
        for member in one.waiting.values():
            ended(member, outcome_of(member, None, "FAILED", reason or "its process ended without a result"))
    return []
