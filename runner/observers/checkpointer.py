"""Saves trainings to checkpoints while they go on, in a thread of its own, and finds the one to go on from."""

import hashlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import jax

from runner import folders, hosts
from runner.errors import ConfigError, must
from runner.experiment import Experiment
from runner.records import Record
from runner.settings import Every
from runner.tracking import begun
from runner.trained import Trained
from runner.training import checkpoints
from runner.training.alone import Snapshot
from runner.training.checkpoints import Checkpoint, DamagedError, Facts
from runner.training.driver import Earlier
from runner.training.mapped import MappedSnapshot
from runner.training.member import Member
from runner.training.observer import Observer, Point
from runner.training.outcome import Outcome
from runner.training.plan import Plan
from runner.withheld import withheld

_log = logging.getLogger(__name__)
# By time, checkpoints take less than this part of it, however slow the disk is.
_SHARE: Final = 0.01
# How a training may differ from its checkpoint: none of these changes what a step computes.
_MAY_DIFFER: Final = ("train.epochs", "train.save_every", "train.keep_checkpoints", "train.profile")


@dataclass
class _Saving:
    """The checkpoints of one training, or of members that train together."""

    folder: Path
    facts: Facts
    saved: float = field(default_factory=time.monotonic)  # when the last checkpoint was begun
    steps: int = 0  # and at which point that was
    epochs: int = 0
    seconds: float = 0.0  # which the last checkpoint took, in training and beside it
    writing: "Future[None] | None" = None
    fault: str = ""  # why the last checkpoint could not be written


class Checkpointer(Observer):
    """Saves what `train.save_every` says, and keeps what `train.keep_checkpoints` says.

    Checkpoints lie in the folder of the run; those of members that train as one program in `together`. Only single runs
    keep them after their end. If a checkpoint cannot be written, a warning says so, and training goes on.
    """

    def __init__(self, sweep: Path | None = None) -> None:
        """`sweep` is the folder of the sweep whose members are trained."""
        self._sweep = sweep
        self._before: dict[int, int | None] = {}  # members that ended in an earlier process; see `driver.Earlier`
        self._savings: dict[tuple[int, ...], _Saving] = {}
        self._ends: dict[int, str] = {}  # by number, the status of members that ended here
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    # Saving -----------------------------------------------------------------------------------------------------

    def reaches(self, point: Point) -> None:
        settings = point.plans[0].experiment.train
        every = settings.saving
        if every is None or not point.steps:
            return
        saving, epochs = self._saving(point.members, point.plans, is_mapped=point.is_mapped), len(point.ledger.history)
        if not point.is_last and not _is_due(saving, every, epochs, point.steps):
            return
        began = time.monotonic()
        self._wait(saving)  # at most one is being written
        if point.is_last and (saving.steps, saving.epochs) == (point.steps, epochs):
            return
        try:
            snapshot = point.snapshot()
        except jax.errors.JaxRuntimeError as error:  # no room on the device for a copy
            _warn(saving, error)
            return
        saving.saved, saving.steps, saving.epochs = began, point.steps, epochs
        saving.seconds = time.monotonic() - began
        last = point.ledger.history[-1].metrics if point.ledger.history else {}
        saving.writing = self._thread().submit(
            self._write, saving, point.plans[0].experiment, snapshot, last.get(settings.monitor.metric)
        )
        if point.is_last:
            self._wait(saving)

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        with self._lock:
            self._ends[member.number] = outcome.status
            savings = [(key, saving) for key, saving in self._savings.items() if member.number in key]
        for key, saving in savings:
            self._wait(saving)
            numbers = [number for number in key if number >= 0]
            if all(number in self._before or self._ends.get(number, "KILLED") != "KILLED" for number in numbers):
                self._remove(saving.folder)
        if outcome.status != "KILLED":
            self._remove(member.context.folder / checkpoints.FOLDER)

    def _remove(self, folder: Path) -> None:
        if self._sweep is not None and folder.is_dir():
            checkpoints.remove(folder)

    def close(self) -> None:
        """Waits until all checkpoints are written."""
        with self._lock:
            savings = list(self._savings.values())
        for saving in savings:
            self._wait(saving)
        if self._pool is not None:
            self._pool.shutdown()
        if self._sweep is not None:
            with suppress(OSError):  # it is not empty
                (self._sweep / checkpoints.FOLDER).rmdir()

    def _write(
        self, saving: _Saving, experiment: Experiment, snapshot: Snapshot | MappedSnapshot, value: float | None
    ) -> None:
        began = time.monotonic()
        settings = experiment.train
        try:
            checkpoints.write(saving.folder, snapshot, saving.facts, value)
            saving.fault = ""
            checkpoints.thin_out(
                saving.folder,
                last=settings.keep_checkpoints.last,
                best=settings.keep_checkpoints.best,
                maximize=settings.monitor.cost({settings.monitor.metric: 1.0}) < 0,
            )
        except (OSError, jax.errors.JaxRuntimeError) as error:
            _warn(saving, error)
        saving.seconds += time.monotonic() - began

    def _saving(self, members: Sequence[Member], plans: Sequence[Plan], *, is_mapped: bool) -> _Saving:
        key = (-1,) * is_mapped + tuple(member.number for member in members)
        with self._lock:
            if key not in self._savings:
                self._savings[key] = _Saving(self._folder(members, is_mapped=is_mapped), _facts(members, plans))
            return self._savings[key]

    def _folder(self, members: Sequence[Member], *, is_mapped: bool) -> Path:
        """Where the checkpoints are of a member that trains alone, or of several that train as one program."""
        if self._sweep is None or not is_mapped:
            return members[0].context.folder / checkpoints.FOLDER
        numbers = ",".join(str(member.number) for member in members)
        return self._sweep / checkpoints.FOLDER / hashlib.sha256(numbers.encode()).hexdigest()[:12]

    def _wait(self, saving: _Saving) -> None:
        if (writing := saving.writing) is not None:
            writing.result()

    def _thread(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
            return self._pool

    # Going on ---------------------------------------------------------------------------------------------------

    def earlier(self, ended: Mapping[int, int | None]) -> Earlier:
        """What earlier processes have left of the trainings, for the driver; of them, these members have ended."""
        self._before.update(ended)
        return Earlier(self.alone, self.together, self._before)

    def alone(self, member: Member, plan: Plan) -> Snapshot | None:
        """The latest state from which a member can go on; None if there is none, and it begins anew.

        Each checkpoint that is damaged, or of another run, is named in a warning, and the one before it is tried.
        Raises ConfigError, with the differences, if the configuration is another one than that of the checkpoint.
        """
        found = self._latest((member,), (plan,), is_mapped=False)
        return checkpoints.alone(found, plan) if found else None

    def together(self, members: Sequence[Member], plans: Sequence[Plan]) -> MappedSnapshot | None:
        """The same for members that train as one program."""
        found = self._latest(members, plans, is_mapped=True)
        return checkpoints.together(found, plans[0]) if found else None

    def _latest(self, members: Sequence[Member], plans: Sequence[Plan], *, is_mapped: bool) -> Checkpoint | None:
        if not any(member.context.goes_on for member in members):
            return None
        folder = self._folder(members, is_mapped=is_mapped)
        checkpoints.remove_partial(folder)
        for path in checkpoints.found(folder):
            saving = self._saving(members, plans, is_mapped=is_mapped)
            try:
                found = checkpoints.read(path)
            except DamagedError as error:
                _log.warning("%s is passed over: %s", folders.short(path), error)
                continue
            if found.facts.owner != saving.facts.owner:
                _log.warning("%s is passed over: it is of another run", folders.short(path))
                continue
            if self._has_all(found, members):
                _compare(found.facts, saving.facts)
                saving.steps, saving.epochs = found.steps, max(len(ledger.history) for ledger in found.ledgers)
                return found
        return None

    def _has_all(self, checkpoint: Checkpoint, members: Sequence[Member]) -> bool:
        """Whether every member that has not ended is in a checkpoint: it may have been killed as it ended."""
        rows = checkpoint.rows or range(len(members))
        standing = {members[index].number for index in rows if index is not None}
        return {member.number for member in members} <= standing | set(self._before)


def _warn(saving: _Saving, error: Exception) -> None:
    if hosts.explained(error):  # the step fails with it, and says so
        return
    reason = (isinstance(error, OSError) and error.strerror) or str(error).split("\n")[0]
    if reason != saving.fault:  # a disk that is full would be named again at every checkpoint
        _log.warning("no checkpoint was written to %s: %s", folders.short(saving.folder), withheld(reason))
    saving.fault = reason


def _is_due(saving: _Saving, every: Every, epochs: int, steps: int) -> bool:
    match every.unit:
        case "epoch":
            return epochs // every.number > saving.epochs // every.number
        case "step":
            return steps // every.number > saving.steps // every.number
        case _:
            return time.monotonic() - saving.saved >= max(every.seconds, saving.seconds / _SHARE)


def _facts(members: Sequence[Member], plans: Sequence[Plan]) -> Facts:
    identities = [found.identity if (found := begun.read(member.context.folder)) else "" for member in members]
    all_settings = [settings_of(member.experiment) for member in members]
    digest = hashlib.sha256(repr(all_settings).encode()).hexdigest()
    return Facts(
        owner=" ".join(identities) if len(members) == 1 else hashlib.sha256(repr(identities).encode()).hexdigest(),
        settings=all_settings[0] if len(members) == 1 else {"members": digest},
        data=plans[0].dataset.digest,
        versions={name: metadata.version(name) for name in ("convrunner", "jax", "optax")}
        | ({"processes": str(plans[0].placement.processes)} if plans[0].placement.processes > 1 else {}),
    )


def settings_of(experiment: Experiment) -> dict[str, str]:
    """Every value of an experiment by its path, also those of layers, but for those that change no step."""
    found: dict[str, str] = {}

    def visit(value: Any, path: str) -> None:
        if path in _MAY_DIFFER:
            return
        if isinstance(value, Record):
            if kind := getattr(value, "kind", ""):
                path = f"{path}.{kind}"
                found[path] = ""
            for name in (*type(value).model_fields, *(value.model_extra or {})):
                visit(getattr(value, name), f"{path}.{name}" if path else name)
        elif isinstance(value, tuple) and any(isinstance(item, Record | tuple) for item in value):
            for index, item in enumerate(value):
                visit(item, f"{path}[{index}]")
        else:
            found[path] = repr(value)

    visit(experiment, "")
    return found


def _compare(saved: Facts, now: Facts) -> None:
    """Raises ConfigError if a training would not be the one that was saved."""
    faults = [
        must(path, f"be {saved.settings.get(path, 'nothing')} as in the checkpoint", now.settings.get(path, "nothing"))
        for path in dict.fromkeys((*saved.settings, *now.settings))
        if saved.settings.get(path) != now.settings.get(path)
    ]
    if saved.data != now.data:
        faults.append(must("data", "be the data of the checkpoint", f"data with the digest {now.data[:12]}"))
    if faults:
        raise ConfigError(*faults[:8])
    if others := [f"{name} {old}" for name, old in saved.versions.items() if now.versions.get(name) != old]:
        _log.warning("the checkpoint was written with %s: the last bits of results may differ", ", ".join(others))
