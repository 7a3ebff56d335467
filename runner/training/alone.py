"""One training, epoch by epoch: the host's loop around the compiled program.

>>> training = Training(planned(experiment, dataset, placement))
>>> for epoch in training.epochs(): print(epoch.metrics)
>>> training.test()
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from runner import compiling, interrupts, train, trained
from runner.errors import Fault, NonFiniteError, shown
from runner.losses import MetricSums
from runner.placement import Placement
from runner.training.ledger import Epoch, Ledger, after
from runner.training.plan import Plan
from runner.training.streams import Batch, paced

# The sums are not read more often than a person can follow.
SECONDS_BETWEEN_READINGS: Final = 0.25
# Dispatches that the host is ahead of the device. Without a bound, readings come seconds late.
_AHEAD: Final = 2
# Members of a sweep that train in threads share programs, and would else each make and compile their own.
_compiling = threading.RLock()


class Reading(NamedTuple):
    """What was measured in an epoch up to a step of the training: means over its images, and the speed."""

    step: int
    loss: float
    measured: float  # the first metric of the task
    images_per_second: float


class Chunk(NamedTuple):
    """Some steps that were given to the device: the epoch (from 1) and the steps of the training up to their end.

    `reading` is None most of the time, and of steps that the device has finished. `wait` waits for these steps.
    """

    epoch: int
    step: int
    reading: Reading | None
    wait: Callable[[], None]


class Snapshot(NamedTuple):
    """All that an exact resume of one training needs, between two dispatches or two epochs."""

    state: train.State  # its `step` and `sums` say how far an epoch is that has begun
    best: train.State | None  # the state after the best epoch, with `train.keep=best`
    ledger: Ledger
    seconds: float = 0.0  # of training in the epoch that has begun


class Training:
    """A training under way: its plan, which never changes, and its ledger and state, which change with each epoch."""

    def __init__(self, plan: Plan, snapshot: Snapshot | None = None) -> None:
        """A training before its first step, or one that goes on from a snapshot."""
        self.plan = plan
        self.ledger = Ledger()
        self._state: train.State | None = None
        self._best: train.State | None = None
        self._steps = 0  # taken so far; the state's own count would have to be waited for
        self._seconds = 0.0  # of training in the epoch that has begun, without compiling
        if snapshot is not None:
            self._state, self._best, self.ledger, self._seconds = snapshot
            self._steps = int(self._state.step)
        with _compiling:
            self._functions = compiling.compiled(
                plan.program, plan.placement, donate=not plan.experiment.train.debug_nans
            )
        self._answers: np.ndarray | None = None  # to the test examples, once they were asked for
        self._called: set[str] = set()
        self._compile_seconds = 0.0

    @property
    def state(self) -> train.State:
        """What training changes; drawn, or loaded, when it is first asked for."""
        if self._state is None:
            given = self.plan.given if self.plan.placement.processes == 1 else jax.device_get(self.plan.given)
            self._state = self._call("init", *given)
        return self._state

    @property
    def snapshot(self) -> Snapshot:
        """All that is needed to go on from here. Its arrays are copies: the next step takes the memory of the state."""
        return Snapshot(copied(self.state, self.plan.placement), self._best, self.ledger, self._seconds)

    @property
    def steps(self) -> int:
        """The steps taken so far."""
        return self._steps

    @property
    def has_ended(self) -> bool:
        """Whether there is no epoch left, or a reason to train none of them."""
        return bool(self.ledger.end_reason) or len(self.ledger.history) >= self.plan.epochs

    @property
    def learnt(self) -> train.Variables:
        """The parameters and statistics to evaluate and keep: of the best epoch so far, or of the last one."""
        return train.evaluated(self._kept)

    @property
    def present(self) -> train.Variables:
        """The parameters and statistics to evaluate after the latest step."""
        return train.evaluated(self.state)

    def trained(self, metrics: Mapping[str, float]) -> trained.Trained:
        """The network as a value, with its metrics."""
        plan = self.plan
        learnt = self.learnt
        if plan.placement.processes > 1:  # what comes now is of this process alone
            learnt = jax.device_put(jax.device_get(learnt), plan.placement.device)
        return trained.of(plan.experiment, plan.program, plan.dataset, learnt, metrics, self._answers)

    @property
    def _kept(self) -> train.State:
        return self.state if self._best is None else self._best

    def epochs(self, report: Callable[[Chunk], None] | None = None) -> Iterator[Epoch]:
        """Trains to the end, and gives each epoch. Raises NonFiniteError if the loss is not finite."""
        while not self.has_ended:
            yield self.advance(report)

    def advance(self, report: Callable[[Chunk], None] | None = None) -> Epoch:
        """Trains one epoch and validates. Raises NonFiniteError if the loss is not finite."""
        number = len(self.ledger.history) + 1
        sums = self._trained(number, report)
        measured, seconds = self.validated(), self._seconds
        with interrupts.postponed():  # or a snapshot could have the epoch in one of its parts only
            epoch = epoch_of(self.plan, self.ledger, sums, seconds, measured)
            self.ledger = after(self.ledger, epoch, seconds, self._compile_seconds, self.plan.experiment.train)
            self._state = self.state._replace(sums=self._no_sums())
            self._compile_seconds = self._seconds = 0.0
            if self.ledger.best is epoch and self.plan.experiment.train.keep == "best":
                self._best = jax.tree.map(jnp.copy, self.state)
        return epoch

    def end(self, reason: str) -> None:
        """Lets training end here."""
        self.ledger = replace(self.ledger, end_reason=reason)

    def validated(self) -> dict[str, float]:
        """`val/loss`, and the metrics as `val/NAME`, of the present state."""
        return averages("val", [found.sums for found in self._evaluated(self.state, self.plan.held_out.val)])

    def test(self) -> dict[str, float]:
        """`test/loss`, the metrics as `test/NAME`, and all other numbers of what was kept. Asked once, at the end."""
        labels = self.plan.dataset.test.labels
        found = jax.device_get(list(self._evaluated(self._kept, self.plan.held_out.test)))
        self._answers = np.concatenate([one.answers for one in found])[: len(labels)]  # the last batch is filled up
        numbers = self.plan.experiment.task.numbers(labels, self._answers)
        judged = {f"test/{name}": value for name, value in numbers.items()}
        return averages("test", [one.sums for one in found]) | judged

    def _evaluated(self, state: train.State, batches: Iterable[Batch]) -> Iterator[train.Evaluation]:
        return paced(self._call("evaluate", state, *batch) for batch in batches)

    def _trained(self, number: int, report: Callable[[Chunk], None] | None) -> train.Sums:
        """The sums of an epoch, or of what is left of it."""
        _ = self.state  # drawn or loaded now, as that is no part of an epoch
        plan, feeder, steps = self.plan, self.plan.feeder, self.plan.steps_of(number)
        compiled_before, began, seconds_before = self._compile_seconds, time.perf_counter(), self._seconds
        read_at = began
        unfinished: deque[tuple[int, train.Sums]] = deque()

        def seconds() -> float:
            return seconds_before + time.perf_counter() - began - (self._compile_seconds - compiled_before)

        taken, windows = self._steps - steps.start, plan.windows(number)
        for chunk in feeder.chunks(plan.order(number), len(steps), start=taken, windows=windows):
            rates = plan.rates(self._steps, feeder.steps)
            with interrupts.postponed():  # the state that is given away is gone before its successor is here
                self._state, sums = self._call(
                    "advance",
                    self.state,
                    chunk.feed._replace(class_weights=plan.class_weights),
                    rates,
                    chunk.start,
                    np.int32(chunk.steps),
                )
                self._steps += chunk.steps
            unfinished.append((self._steps, sums))
            reading = None
            if len(unfinished) > _AHEAD:
                step, finished = unfinished.popleft()
                jax.block_until_ready(finished)
                if report and time.perf_counter() - read_at > SECONDS_BETWEEN_READINGS:
                    means, count = checked(plan, self.ledger, finished)
                    speed = count / max(seconds(), 1e-9)
                    first = means[f"train/{plan.program.metrics[0]}"]
                    reading = Reading(step, means["train/loss"], first, speed)
                    read_at = time.perf_counter()
            self._seconds = seconds()
            if report:
                report(Chunk(number, self._steps, reading, self._wait))
        total: train.Sums = jax.device_get(self.state.sums)
        self._seconds = seconds()
        return total

    def _no_sums(self) -> train.Sums:
        none, placement = train.no_sums(self.plan.program), self.plan.placement
        return none if placement.processes == 1 else jax.tree.map(placement.put, jax.device_get(none))

    def _wait(self) -> None:
        jax.block_until_ready(self._state)

    def _call(self, name: str, *args: Any) -> Any:
        """Calls one of the program's functions. Its first call compiles it."""
        function = getattr(self._functions, name)
        if name in self._called:
            return function(self.plan.values, *args)
        self._called.add(name)
        with _compiling:
            began = time.perf_counter()
            result = function(self.plan.values, *args)
            self._compile_seconds += time.perf_counter() - began
        return result


def copied(state: train.State, placement: Placement) -> train.State:
    """A copy of a state. Of several processes each can make its own at any time: it is of its own device."""
    if placement.processes > 1:
        state = jax.tree.map(lambda leaf: leaf.addressable_data(0), state)
    copy: train.State = jax.tree.map(jnp.copy, state)
    return copy


def epoch_of(plan: Plan, ledger: Ledger, sums: train.Sums, seconds: float, measured: dict[str, float]) -> Epoch:
    """The epoch that follows those of a ledger, from its sums on the host. Raises NonFiniteError."""
    number = len(ledger.history) + 1
    last = plan.steps_of(number)[-1]
    means, count = checked(plan, ledger, sums)
    metrics = means | {
        "learning_rate": float(plan.learning_rates[last]),
        "images_per_second": count / max(seconds, 1e-9),
    }
    return Epoch(number, last + 1, metrics | measured)


def checked(plan: Plan, ledger: Ledger, sums: train.Sums) -> tuple[dict[str, float], float]:
    """Mean loss and metrics, and the number of images. Raises NonFiniteError if the loss was not finite."""
    images, last, bad = jax.device_get(sums)
    if bad >= 0:
        step = int(bad)
        good = f"last finite loss {last:.4g}" if math.isfinite(last) else "no loss was finite before"
        if ledger.history:
            past = ledger.history[-1]
            first = f"val/{plan.program.metrics[0]}"
            good += f", epoch {past.number}: {first} {past.metrics[first]:.4f}"
        rate = shown(float(f"{plan.learning_rates[step]:.6g}"))
        text = f"must stay finite, was not at step {step + 1} under learning rate {rate} ({good})"
        raise NonFiniteError(Fault("loss", text))
    return averages("train", [images]), float(images.weight)


def averages(split: str, sums: list[MetricSums]) -> dict[str, float]:
    """Mean loss and metrics from the sums of batches, by the names under which they are recorded."""
    total = jax.tree.map(lambda *each: math.fsum(float(value) for value in each), *jax.device_get(sums))
    found = {"loss": total.loss} | total.metrics
    return {f"{split}/{name}": value / total.weight for name, value in found.items()}
