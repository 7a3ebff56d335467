"""How the members of a group share the device: in sequence, in threads on a CPU's cores, or as one mapped program."""

import logging
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from runner import cores
from runner.errors import ConfigError, ConvrunnerError, must
from runner.sweep.engines.groups import Group
from runner.sweep.settings import Strategy, Sweep
from runner.training.driver import Earlier, Ended, Mode, Planned, train
from runner.training.member import Member
from runner.training.observer import Events
from runner.withheld import withheld

_log = logging.getLogger(__name__)

# With more multiply-adds, a single step uses all cores.
_SMALL_STEP: Final = 2_000_000_000
_MODES: Final[dict[Strategy, Mode]] = {"loop": "sequential", "parallel": "threaded", "vmap": "vmapped"}


def check_strategy(members: Sequence[Member], strategy: Strategy) -> None:
    """Raises ConfigError if members need sequential training and the strategy is another one.

    The search for NaNs and the profiler change what JAX does in the whole process.
    """
    for member in members:
        if (name := _needs_sequence(member)) and strategy in ("parallel", "vmap"):
            raise ConfigError(must("sweep.strategy", f"be auto or loop with train.{name}", strategy))
    streaming = [member.experiment for member in members if member.experiment.data.residence == "stream"]
    if strategy == "vmap" and len({(one.seed, one.train.sampling) for one in streaming}) > 1:
        rule = "be auto, device or host with sweep.strategy=vmap, whose members of other seeds read other images"
        raise ConfigError(must("data.residence", rule, "stream"))


def mode_of(strategy: Strategy, group: Group) -> Mode:
    """The mode of a group; `auto` maps on accelerators, and on a CPU trains in threads if a step is small."""
    if any(map(_needs_sequence, group.members)):
        return "sequential"
    if strategy != "auto":
        return _MODES[strategy]
    if group.placement.platform != "cpu":
        return "vmapped"
    return (
        "threaded" if len(group) > 1 and cores.available() > 1 and group.multiply_adds < _SMALL_STEP else "sequential"
    )


def train_group(
    group: Group,
    settings: Sweep,
    plan_of: Planned,
    events: Events,
    earlier: Earlier,
    may_begin: Callable[[], bool] = lambda: True,
) -> list[Ended]:
    """Trains every member of a group that has not ended, and that may begin."""
    group.placement.use()
    mode = mode_of(settings.strategy, group)
    parts = group.lockstep if mode == "vmapped" else (group.members,)
    most = settings.max_members
    return [
        ended
        for part in parts
        for ended in train(part, plan_of, events, mode=mode, most=most, earlier=earlier, may_begin=may_begin)
    ]


def note_errors(ended: Iterable[Ended]) -> None:
    """Writes the tracebacks of unexpected errors to the log."""
    for outcome, error in ended:
        if error is not None and not isinstance(error, ConvrunnerError):
            _log.info("%s\n%s", outcome.reason, withheld("".join(traceback.format_exception(error))))


def _needs_sequence(member: Member) -> str:
    """The setting of `train` for which a member has to train alone in its process; empty if there is none."""
    settings = member.experiment.train
    return "debug_nans" if settings.debug_nans else "profile" if settings.profile else ""
