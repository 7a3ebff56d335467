"""Members that advance together: one mapped program for all of them, each with its own numbers.

    >>> fused = Fused(loops)
    >>> while fused.members:
    ...     for loop, came in fused.advance(): print(came)      # an epoch each
    ...     for loop in fused.retire(): loop.test()             # those that ended

The arrays of all members lie stacked along a first axis. Those that ended stay in them until half are gone; then the
rest move together, so that what was pruned stops to cost time and a group is compiled anew no more often than it can
be halved.
"""

import functools
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from runner import train
from runner.errors import NonFiniteError
from runner.loop import Epoch, Loop, averages


class Fused:
    """Loops of one structure on one data set, with as many steps each, none of them begun."""

    def __init__(self, loops: Sequence[Loop]) -> None:
        first = loops[0]
        self.members = list(loops)  # those that train on
        self._rows: list[Loop | None] = list(loops)  # whose numbers lie where; None: nobody's any more
        self._epoch = 0
        self._failed: set[Loop] = set()
        self._functions = train.mapped(jax.tree.structure(first.program), first.placement, shared=first.feeder.resident)
        self._values = _stacked([loop.values for loop in loops])
        given = _stacked([loop.given for loop in loops])
        began = time.perf_counter()
        self._state: train.State = self._functions.init(self._values, *given)
        first.compile_seconds += time.perf_counter() - began
        self._compiled = False

    def advance(self) -> list[tuple[Loop, Epoch | NonFiniteError]]:
        """Trains every member for an epoch, and says what came of it."""
        self._epoch += 1
        first = self.members[0]
        began = time.perf_counter()
        sums = self._trained(first)
        seconds = (time.perf_counter() - began) / len(self.members)
        measured = self._measured(first)
        came: list[tuple[Loop, Epoch | NonFiniteError]] = []
        for row, loop in enumerate(self._rows):
            if loop is None:
                continue
            own = train.Sums(*(values[row] for values in sums))
            try:
                epoch = loop.record(self._epoch, own, seconds, measured[row], functools.partial(self._row, row))
                came.append((loop, epoch))
            except NonFiniteError as error:
                self._failed.add(loop)
                came.append((loop, error))
        return came

    def retire(self) -> list[Loop]:
        """The members whose training ended, with their states; those that failed have none."""
        ended = [loop for loop in self.members if self._has_ended(loop)]
        for loop in ended:
            row = self._rows.index(loop)
            if loop not in self._failed:
                loop.state = self._row(row)
                loop.finish()
            self._rows[row] = None
        self.members = [loop for loop in self.members if loop not in ended]
        self._compact()
        return ended

    def _has_ended(self, loop: Loop) -> bool:
        return loop in self._failed or bool(loop.end_reason) or self._epoch == loop.epoch_count

    def _trained(self, first: Loop) -> train.Sums:
        steps, feeder = first.steps_of(self._epoch), first.feeder
        loops = self._standing()
        orders: dict[int, np.ndarray] = {}  # members of one seed see the images in one order
        for loop in loops:
            seed = loop.experiment.seed
            orders[seed] = orders[seed] if seed in orders else loop.order(self._epoch)
        order = np.stack([orders[loop.experiment.seed] for loop in loops])
        done = steps.start
        for chunk in feeder.chunks(order, len(steps)):
            rates = np.stack([loop.rates(done, feeder.steps) for loop in loops])
            began = time.perf_counter()
            self._state, _ = self._functions.advance(
                self._values, self._state, chunk.feed, rates, chunk.start, np.int32(chunk.steps)
            )
            if not self._compiled:
                first.compile_seconds += time.perf_counter() - began
                self._compiled = True
            done += chunk.steps
        sums: train.Sums = jax.device_get(self._state.sums)
        fresh = jax.tree.map(lambda zero: jnp.full((len(loops),), zero), train.no_sums())
        self._state = self._state._replace(sums=fresh)
        return sums

    def _measured(self, first: Loop) -> list[dict[str, float]]:
        """What validation came to, row by row."""
        sums = jax.device_get([self._functions.evaluate(self._values, self._state, *batch) for batch in first.val])
        rows = range(len(self._rows))
        return [
            {}
            if self._rows[row] is None
            else averages("val", [{name: each[name][row] for name in each} for each in sums])
            for row in rows
        ]

    def _standing(self) -> list[Loop]:
        """Somebody for every row: who is nobody's is filled with a member's numbers, which are not looked at."""
        return [loop or self.members[0] for loop in self._rows]

    def _row(self, row: int) -> train.State:
        """One member's state, in memory of its own."""
        state: train.State = jax.tree.map(lambda values: values[row], self._state)
        return state

    def _compact(self) -> None:
        """Moves those that train on together once half of the rows are nobody's."""
        size = len(self._rows)
        while self.members and size >= 2 * len(self.members):
            size = (size + 1) // 2
        if not self.members or size == len(self._rows):
            return
        kept = [row for row, loop in enumerate(self._rows) if loop is not None]
        filled = np.array(kept + kept[:1] * (size - len(kept)))
        self._rows = [self._rows[row] for row in kept] + [None] * (size - len(kept))
        self._state = jax.tree.map(lambda values: values[filled], self._state)
        self._values = tuple(values[filled] for values in self._values)


def _stacked(trees: Sequence[Any]) -> Any:
    """Trees of one structure as one, their leaves stacked along a first axis."""
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
