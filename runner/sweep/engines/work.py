"""A part of a sweep that another process trains: members that share a program, and all that it takes to record them.

The folders of members must be the same there, and the tracking store must be reachable. The process that began the
sweep hears of outcomes by files in the folders of members (`handover`), whatever engine carried the work.
"""

import functools
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jax

from runner import placement, tracking
from runner.experiment import Experiment
from runner.observers.checkpointer import Checkpointer
from runner.observers.nan_search import NanSearch
from runner.observers.profiler import Profiler
from runner.observers.recorder import Recorder
from runner.observers.repeatable import Repeatable
from runner.placement import Placement
from runner.sweep.engines import note_errors, train_group
from runner.sweep.engines.groups import Datasets, grouped
from runner.sweep.engines.handover import Handover, read
from runner.sweep.members import ending_tags, going_on, identity_tags
from runner.sweep.settings import Objectives, Sweep
from runner.sweep.tally import Leader, Tally
from runner.tracking.messages import Opening
from runner.training.member import Member
from runner.training.observer import Events
from runner.training.plan import Plan, planned

LOG: Final = "sweep.log"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """Members to train elsewhere. `sweep` is the sweep's identity, `parent` its run, whose id is known."""

    members: tuple[Member, ...]
    settings: Sweep
    objectives: Objectives
    sweep: str
    parent: Opening
    folder: Path  # of the sweep
    working_folder: Path  # from which relative paths count
    until: float | None = None  # seconds since 1970 after which no further member begins
    begins: bool = False  # the first member begins even then


def train_work(work: Work) -> None:
    """Trains and records the members that have not ended; an earlier process may have been killed with this work."""
    if not work.settings.engine_gpus:
        # Ray and SLURM may leave GPUs visible, and each process would take the memory of the first one.
        jax.config.update("jax_platforms", "cpu")
    os.chdir(work.working_folder)
    with _logged(work.folder / LOG):
        _train(work)


def _train(work: Work) -> None:
    members = [going_on(member) for member in work.members]
    first = members[0]
    ended = {member.number: own for member in members if (own := read(member, work.sweep))}
    settings = first.experiment.train
    here = placement.choose(settings.device, count=settings.device_count, keep_memory=settings.keep_memory)
    parent = tracking.Run.of_another_process(work.parent, work.folder, enabled=first.context.tracking.enabled)
    recorder = Recorder(
        here,
        parent=parent,
        models=work.settings.log_models,
        is_best=Leader(work.objectives, ended.values()).is_beaten_by,
        begin_tags=identity_tags,
        end_tags=ending_tags,
    )
    tally = Tally(recorder, parent, Handover(work.sweep, ended.values()))
    checkpointer, datasets = Checkpointer(work.folder), Datasets(_log.info)
    events = Events([NanSearch(), Profiler(), Repeatable(recorder), checkpointer, recorder, tally])
    may_begin = functools.partial(_may_begin, work, [work.begins and not ended])
    try:
        earlier = checkpointer.earlier(dict.fromkeys(ended))  # no member is pruned
        for group in grouped(members, datasets):
            plan_of = functools.partial(_plan_of, datasets, group.placement)
            alone = _alone(work.settings, group.placement)
            note_errors(train_group(group, alone, plan_of, events, earlier, may_begin))
    finally:
        checkpointer.close()
        recorder.wait(_log.debug)
        tally.settle(wait=True)


def _plan_of(datasets: Datasets, here: Placement, member: Member) -> Plan:
    experiment: Experiment = member.experiment
    return planned(experiment, datasets.of(experiment), here)


def _alone(settings: Sweep, here: Placement) -> Sweep:
    """The settings here: with one core for a process, threads would only take the cores of others."""
    loops = settings.strategy == "auto" and here.platform == "cpu" and settings.engine_cpus == 1
    return settings.model_copy(update={"strategy": "loop"}) if loops else settings


def _may_begin(work: Work, first: list[bool]) -> bool:
    """Whether another member may begin; `first` says of the first one that it must."""
    must_begin, first[0] = first[0], False
    return must_begin or work.until is None or time.time() < work.until


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Adds the messages of this process to the log of the sweep."""
    handler = logging.FileHandler(path, delay=True, encoding="utf-8")
    handler.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)s [process {os.getpid()}] %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    before = root.level
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(before)
        root.removeHandler(handler)
        handler.close()
