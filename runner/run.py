"""One experiment, from its record to a finished MLflow run.

>>> outcome = run(experiment, Context(folder=Path("outputs/now")))
>>> outcome.metrics["test/accuracy"]
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jax

from runner import data, endings, folders, nans, placement, profile, recording, tracking
from runner.console import Display
from runner.errors import Fault, TrainingError
from runner.experiment import Experiment
from runner.loop import Loop, Progress
from runner.recording import Context
from runner.withheld import withheld

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What a run came to; `end_reason` is empty where it went on to its last epoch."""

    metrics: dict[str, float]
    costs: dict[str, float]  # see `sweep.settings.COSTS`
    run_id: str
    epochs: int
    end_reason: str


def run(experiment: Experiment, context: Context) -> Outcome:
    """Trains, tests and records one experiment. Raises ConvrunnerError; the run is then recorded as FAILED."""
    began = time.perf_counter()
    context.folder.mkdir(parents=True, exist_ok=True)
    here = placement.choose(experiment.train.device, keep_memory=experiment.train.keep_memory)
    recorded = recording.begin(experiment, context, here)
    with _ending(recorded), within_memory():
        dataset = data.load(experiment.data, report=_log.info)
        loop = Loop(experiment, dataset, here)
        recording.note_data(recorded, loop, context.from_environment)

        def reading(now: Progress) -> None:
            recorded.check(wait=False)
            display.reading(now)

        with (
            Display(epochs=loop.epoch_count, steps=loop.total_steps) as display,
            profile.traced(loop, experiment.train.profile, context.folder / profile.TRACE),
            nans.located(experiment.train.debug_nans),
        ):
            # Training does not wait for MLflow, whose import takes longer than the first epochs of small networks.
            for epoch in loop.epochs(reading):
                recorded.check(wait=False)
                recorded.log_metrics(epoch.metrics, step=epoch.number)
                display.epoch(epoch)
            once = recording.known_once(loop)
        recorded.log_metrics(once, step=0)  # one value: MLflow then compares runs by bars
        display.say(_summary(experiment, loop, once, time.perf_counter() - began))
        if (trace := context.folder / profile.TRACE).exists():
            recorded.log_artifact(trace)
        recording.log_figures(recorded, loop)
        recording.log_model(recorded, loop, context)
    display.say(_places(context.folder, recorded.run_id))
    last = loop.history[-1]
    costs = {
        "parameters": float(loop.totals.parameters),
        "multiply_adds": float(loop.totals.multiply_adds),
        "seconds": loop.train_seconds,
    }
    return Outcome(last.metrics | once, costs, recorded.run_id, last.number, loop.end_reason)


@contextmanager
def _ending(recorded: tracking.Run) -> Iterator[None]:
    """Has the run end as what happened: FINISHED, FAILED with its reason, or KILLED by the user."""
    try:
        yield
    except KeyboardInterrupt:
        recorded.finish("KILLED")
        raise
    except BaseException as error:
        recorded.set_tags({"failure": withheld(str(error).split("\n")[0])})
        recorded.finish("FAILED")
        raise
    recorded.finish("FINISHED")


@contextmanager
def within_memory() -> Iterator[None]:
    """Raises TrainingError where the device has no room for what is asked of it."""
    try:
        yield
    except MemoryError as error:
        raise endings.out_of_memory(error) from error
    except jax.errors.JaxRuntimeError as error:
        if (too_much := out_of_memory(error)) is None:
            raise
        raise too_much from error


def out_of_memory(error: Exception) -> TrainingError | None:
    """What a user is told where an error of JAX's says that memory is full; None where it says something else."""
    reason = str(error).split("\n")[0]
    if "RESOURCE_EXHAUSTED" not in reason:
        return None
    return TrainingError(Fault("train.batch_size", f"must leave room in the device's memory ({reason})"))


def _summary(experiment: Experiment, loop: Loop, found: dict[str, float], wall_seconds: float) -> list[str]:
    """What a run came to, in a few lines."""
    ended = f" ({loop.end_reason})" if loop.end_reason else ""
    return [
        f"{experiment.model.name} on {experiment.data.name}: test accuracy {found['test/accuracy']:.2%}, "
        f"loss {found['test/loss']:.4f}",
        f"  {_best(loop)}{ended}",
        f"  {wall_seconds:.1f} s, of which {found['seconds/train']:.1f} s training and "
        f"{found['seconds/compile']:.1f} s compiling",
    ]


def _best(loop: Loop) -> str:
    """The best epoch, by the metric that is watched."""
    if loop.best is None:
        return f"no epoch of {len(loop.history)} has a finite {loop.experiment.train.monitor.metric}"
    accuracy, loss = (loop.best.metrics[name] for name in ("val/accuracy", "val/loss"))
    watched = f"loss {loss:.4f}" if loop.experiment.train.monitor.metric == "val/loss" else f"accuracy {accuracy:.2%}"
    return f"best validation {watched} in epoch {loop.best.number} of {len(loop.history)}"


def _places(folder: Path, run_id: str) -> list[str]:
    """Where a run is found, and where it is compared with others."""
    recorded = [f"  MLflow run {run_id}; compare runs with: python -m runner ui"] if run_id else []
    return [f"  {folders.short(folder)}", *recorded]
