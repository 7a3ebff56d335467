"""How the members of a group share the device: in turn, side by side on a CPU's cores, or as one mapped program.

In turn and side by side, each member runs the very program that it would run alone, and gives the same numbers bit
for bit. Mapped, its numbers are those to within rounding.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import jax

from runner import cores, nans
from runner.errors import ConvrunnerError
from runner.fused import Fused
from runner.loop import Epoch, Loop, Progress
from runner.run import out_of_memory, within_memory
from runner.sweep.groups import Group
from runner.sweep.members import Member
from runner.sweep.settings import Strategy

# Beyond this many multiply-adds, a step has work enough for all cores by itself.
_SMALL_STEP = 2_000_000_000


class Watch(Protocol):
    """Who is told of members as they train. With members side by side, from several threads."""

    def begins(self, member: Member, loop: Loop) -> None:
        """A member is about to train."""

    def epoch(self, member: Member, loop: Loop, epoch: Epoch) -> str:
        """An epoch ended. Returns why training should end here; empty where it should not."""

    def ends(self, member: Member, loop: Loop | None, error: Exception | None) -> None:
        """A member's training ended, as it should or by an error; `loop` is None where it never began."""


def chosen(strategy: Strategy, group: Group) -> Strategy:
    """What `auto` comes to for a group: mapped on accelerators; on a CPU side by side where a step is small.

    A search for NaNs changes what JAX does in the whole process, so those members go in turn.
    """
    if any(member.experiment.train.debug_nans for member in group.members):
        return "loop"
    if strategy != "auto":
        return strategy
    if group.placement.platform != "cpu":
        return "vmap"
    return "parallel" if len(group) > 1 and cores.available() > 1 and group.multiply_adds < _SMALL_STEP else "loop"


def train(
    group: Group, strategy: Strategy, loop_of: Callable[[Member], Loop], watch: Watch, *, most: int | None
) -> None:
    """Trains every member of a group; `most` is how many are mapped at once."""
    group.placement.use()
    match chosen(strategy, group):
        case "vmap":
            for members in group.lockstep:
                for part in _parts(members, most or len(members)):
                    _mapped(part, loop_of, watch)
        case "parallel":
            _side_by_side(group.members, loop_of, watch)
        case _:
            for member in group.members:
                _alone(member, loop_of, watch)


def _alone(
    member: Member, loop_of: Callable[[Member], Loop], watch: Watch, stop: threading.Event | None = None
) -> None:
    """Trains one member as it would be trained by itself."""

    def report(progress: Progress) -> None:
        if stop is not None and stop.is_set():
            raise _Stopped

    loop = None
    try:
        with within_memory(), nans.located(member.experiment.train.debug_nans):
            loop = loop_of(member)
            watch.begins(member, loop)
            for epoch in loop.epochs(report):
                if stop is not None and stop.is_set():
                    raise _Stopped
                if reason := watch.epoch(member, loop, epoch):
                    loop.stop(reason)
            watch.ends(member, loop, None)
    except Exception as error:  # noqa: BLE001 - what is wrong with one member, be it ours, must not cost the others
        watch.ends(member, loop, error)


class _Stopped(BaseException):
    """The sweep was interrupted, so that a member's thread ends where it is."""


def _side_by_side(members: Sequence[Member], loop_of: Callable[[Member], Loop], watch: Watch) -> None:
    """Trains members in as many threads as there are cores; the programs' own threads are one pool."""
    stop = threading.Event()

    def work(member: Member) -> None:
        if not stop.is_set():
            _alone(member, loop_of, watch, stop)

    with ThreadPoolExecutor(cores.available(), thread_name_prefix="member") as pool:
        futures = [pool.submit(work, member) for member in members]
        try:
            for future in futures:
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _mapped(members: Sequence[Member], loop_of: Callable[[Member], Loop], watch: Watch) -> None:
    """Trains members as one program; where they do not fit in memory, each half by itself."""
    if not _fused(members, loop_of, watch):
        # Only now: while the error was handled, it held on to all that lay on the device.
        for part in _parts(members, (len(members) + 1) // 2):
            _mapped(part, loop_of, watch)


def _fused(members: Sequence[Member], loop_of: Callable[[Member], Loop], watch: Watch) -> bool:
    """Whether the members fit in memory together; if they do, they are trained."""
    whose = {loop_of(member): member for member in members}
    fused = None
    try:
        fused = Fused(list(whose))
        for loop, member in whose.items():
            watch.begins(member, loop)
        errors: dict[Loop, ConvrunnerError] = {}
        while fused.members:
            for loop, came in fused.advance():
                if isinstance(came, ConvrunnerError):
                    errors[loop] = came
                elif reason := watch.epoch(whose[loop], loop, came):
                    loop.stop(reason)
            for loop in fused.retire():
                watch.ends(whose[loop], loop, errors.get(loop))
    except jax.errors.JaxRuntimeError as error:
        if (too_much := out_of_memory(error)) is None:
            raise
        if len(members) > 1 and not any(loop.history for loop in whose):
            return False
        for loop in fused.members if fused else whose:
            watch.ends(whose[loop], loop, too_much)
    return True


def _parts(members: Sequence[Member], size: int) -> Iterator[Sequence[Member]]:
    for start in range(0, len(members), size):
        yield members[start : start + size]
