"""The host's loop around the training program: epochs, validation, and when to end.

>>> loop = Loop(experiment, dataset, placement)
>>> for epoch in loop.epochs(): print(epoch.metrics)
>>> loop.test()
"""

import functools
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from runner import limits, train, weights
from runner.data import Dataset, Examples
from runner.data.fit import normalise
from runner.errors import ConfigError, Fault, NonFiniteError, must, shown
from runner.experiment import Experiment
from runner.feed import Feeder, order, steps_on_cpu
from runner.layers import places
from runner.layers.base import Tree
from runner.network import Network, Totals
from runner.placement import Placement
from runner.watching import Patience, better

# A reading of the sums waits for the device, so it is not done more often than eyes can follow.
_SECONDS_BETWEEN_READINGS = 0.25
# Members of a sweep that train side by side would each compile the program that they share.
_compiling = threading.RLock()
# As many as the source of whitening takes.
_IMAGES_TO_WHITEN = 5_000


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to: metrics by the names under which they are recorded."""

    number: int
    step: int
    metrics: dict[str, float]


class Progress(NamedTuple):
    """How far training is, in the middle of an epoch."""

    epoch: int
    step: int
    loss: float
    accuracy: float
    images_per_second: float


class Batch(NamedTuple):
    """Examples on the device; `weights` (n,) are 0 where one only fills the batch up."""

    inputs: jax.Array
    labels: jax.Array
    weights: jax.Array


class Loop:
    """Training of one experiment on one data set, ready to begin.

    Alone it trains itself (`epochs`). As a member of a sweep it may be advanced with others (`runner.fused`), which
    then tell it what came of an epoch (`record`) and hand it its state in the end.
    Raises ConfigError where the experiment does not fit the data.
    """

    def __init__(self, experiment: Experiment, dataset: Dataset, placement: Placement) -> None:
        self.experiment, self.dataset, self.placement = experiment, dataset, placement
        mean, std = dataset.statistics
        vocabulary = experiment.data.vocabulary_size or len(dataset.vocabulary) or None
        self.program = experiment.program(
            experiment.network(dataset.shape, len(dataset.classes), vocabulary),
            mean=experiment.data.mean or mean,
            std=experiment.data.std or std,
            values=dataset.range,
        )
        settings = experiment.train
        self.steps_per_epoch = len(dataset.train) // settings.batch_size
        if not self.steps_per_epoch:
            rule = f"be at most the {len(dataset.train)} training images"
            raise ConfigError(must("train.batch_size", rule, settings.batch_size))
        self.total_steps = settings.steps or settings.epochs * self.steps_per_epoch
        if self.total_steps > limits.TRAINING_STEPS:
            said = "steps" if settings.steps else "epochs"
            rule = f"come to at most {limits.TRAINING_STEPS} steps"
            raise ConfigError(must(f"train.{said}", rule, getattr(settings, said)))
        self.learning_rates = experiment.schedule.learning_rates(
            experiment.optimizer.learning_rate, total_steps=self.total_steps, steps_per_epoch=self.steps_per_epoch
        )
        self.val, self.test_batches = _held_out(dataset, placement, settings.evaluation_batch_size)
        steps_at_once = 1 if settings.debug_nans else steps_on_cpu(self.program, self.totals.multiply_adds)
        self.feeder = Feeder(
            dataset.train,
            placement,
            batch_size=settings.batch_size,
            steps_per_epoch=self.steps_per_epoch,
            steps_on_cpu=steps_at_once,
        )
        self.compile_seconds = 0.0
        self.train_seconds = 0.0
        self.history: list[Epoch] = []
        self.best: Epoch | None = None
        self.end_reason = ""
        self.dispatched: Callable[[], None] = lambda: None  # told whenever steps are on their way
        self.values = train.leaves(self.program)
        self.given = self._loaded()
        self._functions = train.compiled(self.program, placement, donate=not settings.debug_nans)
        self._called: set[str] = set()
        self._state: train.State | None = None
        self._kept: train.State | None = None
        self._patience = Patience(settings.early_stopping, settings.monitor)

    @property
    def state(self) -> train.State:
        """What training changes; drawn, or loaded, when it is first asked for."""
        if self._state is None:
            self._state = self._begun()
        return self._state

    @state.setter
    def state(self, state: train.State) -> None:
        self._state = state

    def _begun(self) -> train.State:
        state: train.State = self._call("init", *self.given)
        return state

    def _loaded(self) -> tuple[weights.Loaded, ...]:
        """What training begins with where it does not begin afresh: values of a file, filters made of the images."""
        model, program = self.experiment.model, self.program
        seen = _whitening(self.dataset, program.network, program.mean, program.std)
        if model.weights is None:
            return (weights.Loaded(seen, {}),) if seen else ()
        params, statistics = weights.load(model.weights, program.network, fresh=model.weights_except)
        return (weights.Loaded(places.merged(seen, params), statistics),)

    @property
    def totals(self) -> Totals:
        """What the network costs for one image."""
        return self.program.network.totals

    @property
    def epoch_count(self) -> int:
        return math.ceil(self.total_steps / self.steps_per_epoch)

    def epochs(self, report: Callable[[Progress], None] | None = None) -> Iterator[Epoch]:
        """Trains; each epoch as it ends, validated. Raises NonFiniteError where the loss is lost."""
        for number in range(1, self.epoch_count + 1):
            sums, seconds = self._train_epoch(number, report)
            yield self.record(number, sums, seconds, self._measured("val", self.val), lambda: self.state)
            if self.end_reason:
                break
        self.finish()

    def stop(self, reason: str) -> None:
        """Has training end after the epoch that was the last to be told of."""
        self.end_reason = reason

    def finish(self) -> None:
        """Goes back to the best state where that is to be kept."""
        if self._kept is not None:
            self.state = self._kept

    def test(self) -> dict[str, float]:
        """`test/loss` and `test/accuracy` of what training kept. To be asked once, at the end."""
        return self._measured("test", self.test_batches)

    def probabilities(self, examples: Examples) -> np.ndarray:
        """Class probabilities (n, k) of examples, by what training kept."""
        variables = train.evaluated(self.state)
        size = self.experiment.train.evaluation_batch_size
        parts = [
            np.asarray(self._call("predict", *variables, batch.inputs))
            for batch in batches(examples, size, self.placement)
        ]
        return np.concatenate(parts)[: len(examples)]

    # An epoch --------------------------------------------------------------------------------------------------

    def steps_of(self, number: int) -> range:
        """The steps of an epoch, counted through training."""
        first = (number - 1) * self.steps_per_epoch
        return range(first, min(first + self.steps_per_epoch, self.total_steps))

    def order(self, number: int) -> np.ndarray:
        """The order of the training images in an epoch: int32 (n,)."""
        return order(self.experiment.seed, number - 1, len(self.dataset.train))

    def rates(self, first: int, count: int) -> np.ndarray:
        """The learning rates of `count` steps from step `first` on; zeros beyond the last: float32 (count,)."""
        found: np.ndarray = self.learning_rates[first : first + count]
        return np.pad(found, (0, count - len(found)))

    def record(
        self,
        number: int,
        sums: train.Sums,
        seconds: float,
        measured: dict[str, float],
        state: Callable[[], train.State],
    ) -> Epoch:
        """Takes note of an epoch: what was summed up and measured in it, and the seconds it took.

        `state` gives the state after it, and is asked only where that is to be kept. Raises NonFiniteError.
        """
        steps = self.steps_of(number)
        loss, accuracy, count = self.checked(sums)
        self.train_seconds += seconds
        metrics = {
            "train/loss": loss,
            "train/accuracy": accuracy,
            "learning_rate": float(self.learning_rates[steps[-1]]),
            "images_per_second": count / max(seconds, 1e-9),
        } | measured
        epoch = Epoch(number, steps[-1] + 1, metrics)
        self.history.append(epoch)
        if better(self.experiment.train.monitor, metrics, self.best.metrics if self.best else None):
            self.best = epoch
            if self.experiment.train.keep == "best":
                self._kept = jax.tree.map(jnp.copy, state())
        self.end_reason = self._reason_to_end(epoch)
        return epoch

    def checked(self, sums: train.Sums) -> tuple[float, float, float]:
        """Mean loss, accuracy and count. Raises NonFiniteError where the loss was not finite."""
        loss, correct, count, last, bad = (float(value) for value in jax.device_get(sums))
        if bad >= 0:
            step = int(bad)
            good = f"last finite loss {last:.4g}" if math.isfinite(last) else "no loss was finite before"
            if self.history:
                past = self.history[-1]
                good += f", epoch {past.number}: val/accuracy {past.metrics['val/accuracy']:.4f}"
            rate = shown(float(f"{self.learning_rates[step]:.6g}"))
            text = f"must stay finite, was not at step {step + 1} under learning rate {rate} ({good})"
            raise NonFiniteError(Fault("loss", text))
        return loss / count, correct / count, count

    def _train_epoch(self, number: int, report: Callable[[Progress], None] | None) -> tuple[train.Sums, float]:
        """What an epoch sums up, and the seconds it took, compiling left out."""
        if self._state is None:
            self.state = self._begun()  # now, as that is no part of an epoch
        steps = self.steps_of(number)
        compiled_before, began = self.compile_seconds, time.perf_counter()
        read_at, done = began, steps.start
        for chunk in self.feeder.chunks(self.order(number), len(steps)):
            rates = self.rates(done, self.feeder.steps)
            self.state, sums = self._call("advance", self.state, chunk.feed, rates, chunk.start, np.int32(chunk.steps))
            done += chunk.steps
            self.dispatched()
            now = time.perf_counter()
            if report and now - read_at > _SECONDS_BETWEEN_READINGS:
                loss, accuracy, count = self.checked(sums)
                seconds = time.perf_counter() - began - (self.compile_seconds - compiled_before)
                report(Progress(number, done, loss, accuracy, count / max(seconds, 1e-9)))
                read_at = time.perf_counter()
        sums = jax.device_get(self.state.sums)
        self.state = self.state._replace(sums=train.no_sums())
        return sums, time.perf_counter() - began - (self.compile_seconds - compiled_before)

    def _measured(self, split: str, batches: list[Batch]) -> dict[str, float]:
        return averages(split, [self._call("evaluate", self.state, *batch) for batch in batches])

    def _reason_to_end(self, epoch: Epoch) -> str:
        target = self.experiment.train.until_accuracy
        if target is not None and epoch.metrics["train/accuracy"] >= target:
            return f"train/accuracy reached {target:g}"
        return self._patience.after(epoch.metrics)

    def _call(self, name: str, *args: Any) -> Any:
        """One of the program's functions; its first call is where it is compiled."""
        function = getattr(self._functions, name)
        if name in self._called:
            return function(self.values, *args)
        self._called.add(name)
        with _compiling:
            began = time.perf_counter()
            result = function(self.values, *args)
            self.compile_seconds += time.perf_counter() - began
        return result


def averages(split: str, sums: list[dict[str, Any]]) -> dict[str, float]:
    """Mean loss and accuracy from the sums of batches."""
    loss, correct, count = (
        math.fsum(float(each[name]) for each in jax.device_get(sums)) for name in ("loss", "correct", "count")
    )
    return {f"{split}/loss": loss / count, f"{split}/accuracy": correct / count}


# Members of a sweep share what lies on the device, whatever their batch size; of other data nothing is kept.
@functools.lru_cache(maxsize=2)
def _held_out(dataset: Dataset, placement: Placement, size: int) -> tuple[list[Batch], list[Batch]]:
    """The batches of the validation and the test images on the device."""
    return batches(dataset.val, size, placement), batches(dataset.test, size, placement)


@functools.lru_cache(maxsize=2)
def _whitening(dataset: Dataset, network: Network, mean: tuple[float, ...], std: tuple[float, ...]) -> Tree:
    """The parameters that are made of training images."""
    if not network.whitened():
        return {}
    inputs = dataset.train.inputs
    # From all over the set, which may lie class by class; their patches tell enough.
    some = inputs[np.linspace(0, len(inputs) - 1, min(len(inputs), _IMAGES_TO_WHITEN)).astype(int)]
    images = normalise(
        network.fitted(jnp.asarray(some), np.asarray(dataset.range.black, np.float32)),
        jnp.asarray(mean),
        jnp.asarray(std),
    )
    return network.whitening(np.asarray(images))


def batches(examples: Examples, size: int, placement: Placement) -> list[Batch]:
    """Examples cut into batches of one size on a device, the last one filled up with zeros of weight 0."""
    found = []
    for start in range(0, len(examples), size):
        inputs, labels = (array[start : start + size] for array in (examples.inputs, examples.labels))
        missing = size - len(labels)
        weights = np.ones(len(labels), np.float32)
        padded = (
            np.pad(array, ((0, missing),) + ((0, 0),) * (array.ndim - 1)) if missing else array
            for array in (inputs, labels, weights)
        )
        found.append(Batch(*(jax.device_put(array, placement.device) for array in padded)))
    return found
