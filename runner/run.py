"""One experiment, from its record to a finished MLflow run.

>>> outcome = run(experiment, Context(folder=Path("outputs/now"), ...))
>>> outcome.metrics["test/accuracy"]
"""

import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np
import yaml

from runner import data, describe, device, nans, tracking, train, weights
from runner.console import Display
from runner.data import Dataset
from runner.data.vocabulary import listed, spelt
from runner.errors import Fault, TrainingError
from runner.experiment import Experiment, parameters
from runner.loop import Loop

_log = logging.getLogger(__name__)

VOCABULARY = "vocabulary.txt"


@dataclass(frozen=True)
class Context:
    """What a run is told that is no part of the experiment: where it writes, and how it was asked for."""

    folder: Path
    config: str = ""  # the resolved configuration as YAML
    overrides: tuple[str, ...] = ()
    command: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What a run came to; `end_reason` is empty where it went on to its last epoch."""

    metrics: dict[str, float]
    run_id: str
    epochs: int
    end_reason: str


def run(experiment: Experiment, context: Context) -> Outcome:
    """Trains, tests and records one experiment. Raises ConvrunnerError; the run is then recorded as FAILED."""
    began = time.perf_counter()
    context.folder.mkdir(parents=True, exist_ok=True)
    chosen = device.select(experiment.train.device)
    recorded = tracking.start(
        experiment.tracking,
        run_name=run_name(experiment, context.overrides),
        tags=_tags(context, chosen),
        params=parameters(experiment) | _layer_overrides(context.overrides),
        folder=context.folder,
    )
    with _ending(recorded), _within_memory():
        _record_configuration(recorded, experiment, context)
        dataset = data.load(experiment.data, report=_log.info)
        recorded.log_input(_facts(experiment, dataset))
        if dataset.vocabulary:
            recorded.log_text(listed(dataset.vocabulary), VOCABULARY)
        loop = Loop(experiment, dataset)
        recorded.set_tags({"group": group(loop)})
        recorded.check()
        with (
            Display(epochs=loop.epoch_count, steps=loop.total_steps) as display,
            nans.located(experiment.train.debug_nans),
        ):
            for epoch in loop.epochs(display.reading):
                recorded.log_metrics(epoch.metrics, step=epoch.number)
                display.epoch(epoch)
            once = loop.test() | _best(loop) | _seconds(loop)
        last = loop.history[-1]
        recorded.log_metrics(once, step=0)  # one value: MLflow then compares runs by bars
        outcome = Outcome(last.metrics | once, recorded.run_id, last.number, loop.end_reason)
        display.say(_summary(experiment, outcome, time.perf_counter() - began))
        _log_figures(recorded, loop)
        _log_model(recorded, loop, context.folder)
    display.say(_places(context.folder, outcome.run_id))
    return outcome


def run_name(experiment: Experiment, overrides: tuple[str, ...]) -> str:
    """A run's name: the model, and what the command line changed beside it."""
    said = (override.lstrip("+~") for override in overrides)
    changes = [
        # The choice of a group says itself: `adam`, not `optimizer=adam`.
        f"{path.split('.')[-1]}={value}" if "." in path or path == "seed" else value
        for path, _, value in (text.partition("=") for text in said)
        if path not in ("model", "data", "experiment", "data.root") and not path.startswith(("tracking", "hydra"))
    ]
    return " ".join([experiment.model.name, *changes])


def group(loop: Loop) -> str:
    """A short name of the compiled program: runs that share it differ in traced values alone."""
    structure = str(jax.tree.structure(loop.program))
    return hashlib.sha256(structure.encode()).hexdigest()[:12]


@contextmanager
def _ending(recorded: tracking.Run) -> Iterator[None]:
    """Has the run end as what happened: FINISHED, FAILED with its reason, or KILLED by the user."""
    try:
        yield
    except KeyboardInterrupt:
        recorded.finish("KILLED")
        raise
    except BaseException as error:
        recorded.set_tags({"failure": str(error).split("\n")[0]})
        recorded.finish("FAILED")
        raise
    recorded.finish("FINISHED")


@contextmanager
def _within_memory() -> Iterator[None]:
    """Raises TrainingError where the device has no room for what is asked of it."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        reason = str(error).split("\n")[0]
        if "RESOURCE_EXHAUSTED" not in reason:
            raise
        raise TrainingError(Fault("train.batch_size", f"must leave room in the device's memory ({reason})")) from error


def _tags(context: Context, chosen: jax.Device) -> dict[str, str]:
    return context.tags | {
        "version": metadata.version("convrunner"),
        "jax": jax.__version__,
        "device": device.describe(chosen),
        "mlflow.source.name": context.command,
    }


_LAYER_LIST = ("model.layers", "model.params", "model.blocks")


def _layer_overrides(overrides: tuple[str, ...]) -> dict[str, str]:
    """What the command line changed in the layer list, its parameters and blocks; `config.yaml` has all the rest."""
    pairs = (override.lstrip("+~").partition("=") for override in overrides)
    return {path: value for path, _, value in pairs if path.startswith(_LAYER_LIST)}


def _record_configuration(recorded: tracking.Run, experiment: Experiment, context: Context) -> None:
    recorded.log_text(context.config, "config.yaml")
    overrides = yaml.safe_dump(list(context.overrides), allow_unicode=True, width=float("inf"))
    recorded.log_text(overrides, "overrides.yaml")
    if experiment.data.shape is not None and experiment.data.class_count is not None:
        table = describe.as_text(experiment, width=120)
        recorded.log_text(table, "describe.txt")
        recorded.set_tags({"mlflow.note.content": f"```text\n{table}```"})


def _facts(experiment: Experiment, dataset: Dataset) -> tracking.DatasetFacts:
    parts = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    return tracking.DatasetFacts(
        name=dataset.name,
        digest=dataset.digest,
        counts={name: len(part) for name, part in parts.items()},
        shape=dataset.shape,
        dtype=str(dataset.train.inputs.dtype),
        classes=dataset.classes,
        source=experiment.data.root or "",
    )


def _best(loop: Loop) -> dict[str, float]:
    assert loop.best is not None
    return {"best/val_accuracy": loop.best.metrics["val/accuracy"], "best/epoch": float(loop.best.number)}


def _log_figures(recorded: tracking.Run, loop: Loop) -> None:
    """Learning curves, and how the validation images were classified; drawn in the background."""
    if not loop.experiment.tracking.figures:
        return
    history, best = [epoch.metrics for epoch in loop.history], loop.best
    val, classes = loop.dataset.val, loop.dataset.classes
    probabilities = loop.probabilities(val)
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (val.labels, probabilities.argmax(axis=1)), 1)

    def figure(name: str, *args: Any, **kwargs: Any) -> bytes:
        from runner import figures  # matplotlib takes its time, and the thread that draws has it

        drawn: bytes = figures.png(getattr(figures, name)(*args, **kwargs))
        return drawn

    recorded.log_figure(
        "figures/learning_curves.png",
        lambda: figure("learning_curves", history, best_epoch=best.number if best else None),
    )
    recorded.log_figure("figures/confusion_matrix.png", lambda: figure("confusion_matrix", counts, classes))
    if loop.dataset.vocabulary:
        recorded.log_text(_worst_texts(loop.dataset, probabilities), "worst_texts.txt")
    else:
        recorded.log_figure(
            "figures/worst_images.png", lambda: figure("worst_images", val.inputs, val.labels, probabilities, classes)
        )


def _worst_texts(dataset: Dataset, probabilities: np.ndarray, count: int = 24) -> str:
    """The validation texts, as the network reads them, whose true class was given the least probability."""
    val, classes = dataset.val, dataset.classes
    given = probabilities[np.arange(len(val)), val.labels]
    paragraphs = []
    for index in np.argsort(given, kind="stable")[:count]:
        taken = int(probabilities[index].argmax())
        judged = (
            f"#{index}: {classes[val.labels[index]]}, taken for {classes[taken]} ({probabilities[index, taken]:.0%})"
        )
        paragraphs.append(f"{judged}\n{spelt(val.inputs[index], dataset.vocabulary)}\n")
    return "\n".join(paragraphs)


def _log_model(recorded: tracking.Run, loop: Loop, folder: Path) -> None:
    if not loop.experiment.tracking.log_model:
        return
    from runner import serving  # jax.export is needed by nothing else

    variables = (train.evaluated(loop.state), loop.state.statistics)
    weights.save(folder / "weights.safetensors", *variables)
    recorded.log_artifact(folder / "weights.safetensors")
    serving.save_model(
        folder / "model",
        function=lambda variables, images: train.predict(loop.program, variables[0], variables[1], images),
        variables=variables,
        images=loop.dataset.val.inputs,
        classes=loop.dataset.classes,
    )
    if loop.dataset.vocabulary:  # the model reads tokens: whoever asks it has to know what each stands for
        (folder / "model" / VOCABULARY).write_text(listed(loop.dataset.vocabulary), encoding="utf-8")
    recorded.log_model(folder / "model")


def _seconds(loop: Loop) -> dict[str, float]:
    return {"seconds/compile": loop.compile_seconds, "seconds/train": loop.train_seconds}


def _summary(experiment: Experiment, outcome: Outcome, wall_seconds: float) -> list[str]:
    """What a run came to, in a few lines."""
    found = outcome.metrics
    ended = f" ({outcome.end_reason})" if outcome.end_reason else ""
    return [
        f"{experiment.model.name} on {experiment.data.name}: test accuracy {found['test/accuracy']:.2%}, "
        f"loss {found['test/loss']:.4f}",
        f"  best validation accuracy {found['best/val_accuracy']:.2%} in epoch {found['best/epoch']:.0f} "
        f"of {outcome.epochs}{ended}",
        f"  {wall_seconds:.1f} s, of which {found['seconds/train']:.1f} s training and "
        f"{found['seconds/compile']:.1f} s compiling",
    ]


def _places(folder: Path, run_id: str) -> list[str]:
    """Where a run is found, and where it is compared with others."""
    here = Path.cwd()
    shown = folder.relative_to(here) if folder.is_relative_to(here) else folder
    recorded = [f"  MLflow run {run_id}; compare runs with: python -m runner ui"] if run_id else []
    return [f"  {shown}", *recorded]
