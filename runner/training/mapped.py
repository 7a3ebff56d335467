"""Members that train together: one mapped program for all of them, each with its own numbers.

>>> mapped = Mapped(plans)
>>> while mapped.members:
...     for index, outcome in mapped.advance(): print(index, outcome)     # an epoch, or why there is none
...     for index, training in mapped.retire(): training.test()           # those that ended

The arrays of all members are stacked along a first axis. The rows of members that ended stay in them until half of the
rows are empty. Then the other rows move together, so that pruned members cost no more time, and a group is compiled
again only as often as it can be halved.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from runner import compiling, interrupts, train
from runner.errors import NonFiniteError
from runner.training.alone import Chunk, Snapshot, Training, averages, epoch_of
from runner.training.ledger import Epoch, Ledger, after
from runner.training.plan import Plan
from runner.training.streams import paced


class MappedSnapshot(NamedTuple):
    """All that an exact resume of members that train together needs, between two dispatches or two epochs.

    The rows and their number belong to it: a mapped program of another width may round differently.
    """

    rows: tuple[int | None, ...]  # the index of the plan whose numbers are in each row; None: an empty row
    state: train.State  # stacked
    best: dict[int, train.State]  # by index, the state after the best epoch, with `train.keep=best`
    ledgers: tuple[Ledger, ...]  # by index
    seconds: float = 0.0  # of training in the epoch that has begun


class Mapped:
    """Trainings of one structure on one data set, which take the same steps."""

    def __init__(self, plans: Sequence[Plan], snapshot: MappedSnapshot | None = None) -> None:
        """Members before their first step, or members that go on from a snapshot."""
        first = plans[0]
        self.plans = tuple(plans)
        self._functions = compiling.mapped(
            first.structure,
            first.placement,
            shared=first.feeder.resident,
            weighted=first.class_weights is not None,
        )
        self._compile_seconds = 0.0
        self._compiled = False
        self._steps = 0  # that every member has taken
        self._seconds = 0.0  # of training in the epoch that has begun, without compiling
        self._rows: list[int | None] = list(range(len(plans)))
        self._best: dict[int, train.State] = {}
        self.ledgers = [Ledger() for _ in plans]
        self._state: train.State
        if snapshot is not None:
            self._rows, self._best = list(snapshot.rows), dict(snapshot.best)
            self.ledgers, self._seconds = list(snapshot.ledgers), snapshot.seconds
            self._state = jax.tree.map(jnp.asarray, snapshot.state)
            self._steps = int(self._state.step[0])
        self._values = _stacked([plan.values for plan in self._standing()])
        if snapshot is None:
            began = time.perf_counter()
            self._state = self._functions.init(self._values, *_stacked([plan.given for plan in plans]))
            self._compile_seconds = time.perf_counter() - began

    @property
    def members(self) -> list[int]:
        """The indices of the plans whose training goes on."""
        return [index for index in self._rows if index is not None]

    @property
    def snapshot(self) -> MappedSnapshot:
        """All that is needed to go on from here. Its arrays are copies: the next step takes the memory of the state."""
        state = jax.tree.map(jnp.copy, self._state)
        return MappedSnapshot(tuple(self._rows), state, dict(self._best), tuple(self.ledgers), self._seconds)

    @property
    def steps(self) -> int:
        """The steps that every member has taken."""
        return self._steps

    def advance(self, report: Callable[[int, Chunk], None] | None = None) -> list[tuple[int, Epoch | NonFiniteError]]:
        """Trains every member for an epoch. Returns each with its epoch, or with why it has none."""
        sums = self._trained(report)
        measured = self._measured()
        with interrupts.postponed():  # or a snapshot could have the epoch in some of its parts only
            return self._noted(sums, measured)

    def _noted(self, sums: train.Sums, measured: list[dict[str, float]]) -> list[tuple[int, Epoch | NonFiniteError]]:
        """Adds an epoch to the ledgers."""
        seconds, compile_seconds = self._seconds / len(self.members), self._compile_seconds
        fresh = jax.tree.map(lambda zero: jnp.full((len(self._rows),), zero), train.no_sums(self._first.program))
        self._state = self._state._replace(sums=fresh)
        self._compile_seconds = self._seconds = 0.0
        found: list[tuple[int, Epoch | NonFiniteError]] = []
        for row, index in enumerate(self._rows):
            if index is None:
                continue
            plan, ledger = self.plans[index], self.ledgers[index]
            own: train.Sums = _of(row, sums)
            try:
                epoch = epoch_of(plan, ledger, own, seconds, measured[row])
            except NonFiniteError as error:
                self.end(index, str(error))
                found.append((index, error))
                continue
            settings = plan.experiment.train
            # What is compiled for all is counted for the first.
            self.ledgers[index] = after(ledger, epoch, seconds, 0.0 if found else compile_seconds, settings)
            if self.ledgers[index].best is epoch and settings.keep == "best":
                self._best[index] = self._row(row)
            found.append((index, epoch))
        return found

    def end(self, index: int, reason: str) -> None:
        """Lets a member's training end here."""
        self.ledgers[index] = replace(self.ledgers[index], end_reason=reason)

    def retire(self) -> list[tuple[int, Training]]:
        """The members whose training ended, each as a training of its own; their rows become empty."""
        ended = []
        for row, index in enumerate(self._rows):
            if index is None or not self._has_ended(index):
                continue
            snapshot = Snapshot(self._row(row), self._best.pop(index, None), self.ledgers[index])
            ended.append((index, Training(self.plans[index], snapshot)))
            self._rows[row] = None
        self._compact()
        return ended

    def _has_ended(self, index: int) -> bool:
        ledger = self.ledgers[index]
        return bool(ledger.end_reason) or len(ledger.history) >= self.plans[index].epochs

    def _trained(self, report: Callable[[int, Chunk], None] | None) -> train.Sums:
        """The sums of an epoch, for every row."""
        members, standing, first = self.members, self._standing(), self._first
        number = len(self.ledgers[members[0]].history) + 1
        steps, feeder = first.steps_of(number), first.feeder
        # Members of one seed see the images in one order, if they are drawn in one way.
        orders: dict[tuple[int, str], np.ndarray] = {}
        keys = [(plan.experiment.seed, plan.experiment.train.sampling) for plan in standing]
        for key, plan in zip(keys, standing, strict=True):
            if key not in orders:
                orders[key] = plan.order(number)
        order = np.stack([orders[key] for key in keys])
        weighted = first.class_weights is not None
        class_weights = np.stack([plan.class_weights for plan in standing]) if weighted else None  # type: ignore[misc]
        began, seconds_before, compiling_before = time.perf_counter(), self._seconds, self._compile_seconds

        def seconds() -> float:
            return seconds_before + time.perf_counter() - began - (self._compile_seconds - compiling_before)

        taken, windows = self._steps - steps.start, first.windows(number)
        for chunk in feeder.chunks(order, len(steps), start=taken, windows=windows):
            rates = np.stack([plan.rates(self._steps, feeder.steps) for plan in standing])
            dispatched = time.perf_counter()
            with interrupts.postponed():  # the state that is given away is gone before its successor is here
                self._state, _ = self._functions.advance(
                    self._values,
                    self._state,
                    chunk.feed._replace(class_weights=class_weights),
                    rates,
                    chunk.start,
                    np.int32(chunk.steps),
                )
                self._steps += chunk.steps
            if not self._compiled:
                self._compile_seconds += time.perf_counter() - dispatched
                self._compiled = True
            self._seconds = seconds()
            if report:
                for index in members:
                    report(index, Chunk(number, self._steps, None, self._wait))
        sums: train.Sums = jax.device_get(self._state.sums)
        self._seconds = seconds()
        return sums

    def _wait(self) -> None:
        jax.block_until_ready(self._state)

    def _measured(self) -> list[dict[str, float]]:
        """The validation metrics of every row; of empty rows nothing."""
        batches = self._first.held_out.val
        evaluate = self._functions.evaluate
        sums = jax.device_get(list(paced(evaluate(self._values, self._state, *batch) for batch in batches)))
        return [
            {} if index is None else averages("val", [_of(row, each) for each in sums])
            for row, index in enumerate(self._rows)
        ]

    def _standing(self) -> list[Plan]:
        """A plan for every row. Empty rows are filled with a member's numbers, which are not looked at."""
        first = self.members[0]
        return [self.plans[first if index is None else index] for index in self._rows]

    @property
    def _first(self) -> Plan:
        """The plan of the first member that goes on: what is the same for all is read from it."""
        return self.plans[self.members[0]]

    def _row(self, row: int) -> train.State:
        """One member's state, in memory of its own."""
        state: train.State = _of(row, self._state)
        return state

    def _compact(self) -> None:
        """Moves the members together once half of the rows are empty."""
        size, count = len(self._rows), len(self.members)
        while count and size >= 2 * count:
            size = (size + 1) // 2
        if not count or size == len(self._rows):
            return
        kept = [row for row, index in enumerate(self._rows) if index is not None]
        filled = np.array(kept + kept[:1] * (size - len(kept)))
        self._rows = [self._rows[row] for row in kept] + [None] * (size - len(kept))
        self._state = jax.tree.map(lambda values: values[filled], self._state)
        self._values = tuple(values[filled] for values in self._values)


def _of(row: int, stacked: Any) -> Any:
    """The part of a stacked tree that belongs to one row."""
    return jax.tree.map(lambda values: values[row], stacked)


def _stacked(trees: Sequence[Any]) -> Any:
    """Trees of one structure as one, their leaves stacked along a first axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
