"""The host's loop around the training program: epochs, validation, and when to end.

>>> loop = Loop(experiment, dataset)
>>> for epoch in loop.epochs(): print(epoch.metrics)
>>> loop.test()
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from runner import data, train, weights
from runner.data import Dataset, Examples
from runner.errors import ConfigError, Fault, NonFiniteError, must, shown
from runner.experiment import Experiment
from runner.settings import EarlyStopping

# A reading of the sums waits for the device, so it is not done more often than eyes can follow.
_SECONDS_BETWEEN_READINGS = 0.25
# Each has its learning rate in memory.
_MOST_STEPS = 100_000_000


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

    Raises ConfigError where the experiment does not fit the data.
    """

    def __init__(self, experiment: Experiment, dataset: Dataset) -> None:
        self.experiment, self.dataset = experiment, dataset
        mean, std = data.statistics(dataset.train.inputs)
        self.program = experiment.program(
            data_shape=dataset.shape,
            classes=len(dataset.classes),
            mean=experiment.data.mean or mean,
            std=experiment.data.std or std,
            vocabulary=experiment.data.vocabulary_size or len(dataset.vocabulary) or None,
        )
        settings = experiment.train
        self.steps_per_epoch = len(dataset.train) // settings.batch_size
        if not self.steps_per_epoch:
            rule = f"be at most the {len(dataset.train)} training images"
            raise ConfigError(must("train.batch_size", rule, settings.batch_size))
        self.total_steps = settings.steps or settings.epochs * self.steps_per_epoch
        if self.total_steps > _MOST_STEPS:
            said = "steps" if settings.steps else "epochs"
            raise ConfigError(must(f"train.{said}", f"come to at most {_MOST_STEPS} steps", getattr(settings, said)))
        self.learning_rates = experiment.schedule.learning_rates(
            experiment.optimizer.learning_rate, total_steps=self.total_steps, steps_per_epoch=self.steps_per_epoch
        )
        self.compile_seconds = 0.0
        self.train_seconds = 0.0
        self.history: list[Epoch] = []
        self.best: Epoch | None = None
        self.end_reason = ""
        self._functions = train.compiled(self.program, donate=not settings.debug_nans)
        self._values = train.leaves(self.program)
        self._called: set[str] = set()
        self._inputs, self._labels = (jax.device_put(array) for array in (dataset.train.inputs, dataset.train.labels))
        size = min(settings.evaluation_batch_size, max(len(dataset.val), len(dataset.test)))
        self._val, self._test = (batches(examples, size) for examples in (dataset.val, dataset.test))
        self.state: train.State = self._call("init", *self._loaded())
        self._kept: train.State | None = None

    def _loaded(self) -> tuple[weights.Loaded, ...]:
        """What training begins with where it does not begin afresh."""
        model = self.experiment.model
        if model.weights is None:
            return ()
        program = self.program
        return (weights.load(model.weights, program.model, program.input_shape, fresh=model.weights_except),)

    @property
    def epoch_count(self) -> int:
        return math.ceil(self.total_steps / self.steps_per_epoch)

    def epochs(self, report: Callable[[Progress], None] | None = None) -> Iterator[Epoch]:
        """Trains; each epoch as it ends, validated. Raises NonFiniteError where the loss is lost."""
        stopping = Patience(self.experiment.train.early_stopping)
        for number in range(1, self.epoch_count + 1):
            first = (number - 1) * self.steps_per_epoch
            steps = min(self.steps_per_epoch, self.total_steps - first)
            metrics = self._train_epoch(number, first, steps, report) | self._measured("val", self._val)
            epoch = Epoch(number, first + steps, metrics)
            self.history.append(epoch)
            if self.best is None or _better(metrics, self.best.metrics):
                self.best = epoch
                if self.experiment.train.keep == "best":
                    self._kept = jax.tree.map(jnp.copy, self.state)
            self.end_reason = self._reason_to_end(epoch, stopping)
            yield epoch
            if self.end_reason:
                break
        if self._kept is not None:
            self.state = self._kept

    def test(self) -> dict[str, float]:
        """`test/loss` and `test/accuracy` of what training kept. To be asked once, at the end."""
        return self._measured("test", self._test)

    def probabilities(self, examples: Examples) -> np.ndarray:
        """Class probabilities (n, k) of examples, by what training kept."""
        size = self._val[0].inputs.shape[0]
        params, statistics = train.evaluated(self.state), self.state.statistics
        parts = [
            np.asarray(self._call("predict", params, statistics, batch.inputs)) for batch in batches(examples, size)
        ]
        return np.concatenate(parts)[: len(examples)]

    def _train_epoch(
        self, number: int, first: int, steps: int, report: Callable[[Progress], None] | None
    ) -> dict[str, float]:
        size = self.experiment.train.batch_size
        compiled_before, began = self.compile_seconds, time.perf_counter()
        order = self._call("order", np.int32(number - 1), len(self.dataset.train))
        feed = train.Feed(self._inputs, self._labels, order)
        read_at = time.perf_counter()
        for batch in range(steps):
            rates = self.learning_rates[first + batch : first + batch + 1]
            self.state, sums = self._call("advance", self.state, feed, rates, np.int32(batch), np.int32(1))
            now = time.perf_counter()
            if report and now - read_at > _SECONDS_BETWEEN_READINGS:
                loss, correct, count = self._checked(sums)
                seconds = time.perf_counter() - began - (self.compile_seconds - compiled_before)
                report(Progress(number, first + batch + 1, loss, correct, count / max(seconds, 1e-9)))
                read_at = time.perf_counter()
        loss, accuracy, count = self._checked(self.state.sums)
        seconds = time.perf_counter() - began - (self.compile_seconds - compiled_before)
        self.train_seconds += seconds
        self.state = self.state._replace(sums=train.no_sums())
        return {
            "train/loss": loss,
            "train/accuracy": accuracy,
            "learning_rate": float(self.learning_rates[first + steps - 1]),
            "images_per_second": steps * size / max(seconds, 1e-9),
        }

    def _checked(self, sums: train.Sums) -> tuple[float, float, float]:
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

    def _measured(self, split: str, batches: list[Batch]) -> dict[str, float]:
        sums = [self._call("evaluate", self.state, *batch) for batch in batches]
        loss, correct, count = (
            math.fsum(float(each[name]) for each in jax.device_get(sums)) for name in ("loss", "correct", "count")
        )
        return {f"{split}/loss": loss / count, f"{split}/accuracy": correct / count}

    def _reason_to_end(self, epoch: Epoch, stopping: "Patience") -> str:
        target = self.experiment.train.until_accuracy
        if target is not None and epoch.metrics["train/accuracy"] >= target:
            return f"train/accuracy reached {target:g}"
        return stopping.after(epoch)

    def _call(self, name: str, *args: Any) -> Any:
        """One of the program's functions; its first call is where it is compiled."""
        function = getattr(self._functions, name)
        if name in self._called:
            return function(self._values, *args)
        self._called.add(name)
        began = time.perf_counter()
        result = function(self._values, *args)
        self.compile_seconds += time.perf_counter() - began
        return result


class Patience:
    """Counts the epochs in which validation did not improve."""

    def __init__(self, settings: EarlyStopping | None) -> None:
        self.settings = settings
        self.best = math.inf
        self.waited = 0

    def after(self, epoch: Epoch) -> str:
        """Why training should end after this epoch; empty where it should not."""
        if self.settings is None:
            return ""
        value = epoch.metrics[self.settings.metric]
        cost = -value if self.settings.metric.endswith("accuracy") else value
        if cost < self.best - self.settings.min_delta:
            self.best, self.waited = cost, 0
            return ""
        self.waited += 1
        if self.waited < self.settings.patience:
            return ""
        return f"{self.settings.metric} has not improved for {self.waited} epochs"


def batches(examples: Examples, size: int) -> list[Batch]:
    """Examples cut into batches of one size on the device, the last one filled up with zeros of weight 0."""
    found = []
    for start in range(0, len(examples), size):
        inputs, labels = (array[start : start + size] for array in (examples.inputs, examples.labels))
        missing = size - len(labels)
        weights = np.ones(len(labels), np.float32)
        padded = (
            np.pad(array, ((0, missing),) + ((0, 0),) * (array.ndim - 1)) if missing else array
            for array in (inputs, labels, weights)
        )
        found.append(Batch(*(jax.device_put(array) for array in padded)))
    return found


def _better(metrics: dict[str, float], than: dict[str, float]) -> bool:
    """Whether validation got more images right, or as many at a smaller loss."""
    return (metrics["val/accuracy"], -metrics["val/loss"]) > (than["val/accuracy"], -than["val/loss"])
