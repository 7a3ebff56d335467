"""What of an experiment is recorded in MLflow, and when: as it begins, when its data are known, and at its end.

>>> recorded = begin(experiment, Context(folder=Path("outputs/now")), placement)
>>> note_data(recorded, loop)
>>> recorded.log_metrics(epoch.metrics, step=epoch.number)
>>> recorded.log_metrics(known_once(loop), step=0)
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import numpy as np

from runner import describe, endings, tracking, train, trained
from runner.data import Dataset
from runner.data.value_range import Range
from runner.data.vocabulary import token_text, vocabulary_text
from runner.experiment import Experiment, parameters
from runner.launchable import Place, overrides_yaml
from runner.loop import Loop
from runner.placement import Placement
from runner.tracking import Tracking
from runner.withheld import withheld

_NOTHING: Mapping[Place, str] = MappingProxyType({})
VOCABULARY = "vocabulary.txt"


@dataclass(frozen=True)
class Context:
    """What a run is told that is no part of the experiment: where it writes, and how it was asked for."""

    folder: Path
    tracking: Tracking = field(default_factory=Tracking)
    config: str = ""  # the resolved configuration as YAML
    from_environment: Mapping[Place, str] = field(default_factory=dict)  # by path, interpolations to record as they are
    overrides: tuple[str, ...] = ()
    command: str = ""
    tags: dict[str, str] = field(default_factory=dict)


def begin(
    experiment: Experiment,
    context: Context,
    placement: Placement,
    *,
    parent: tracking.Run | None = None,
    name: str = "",
) -> tracking.Run:
    """A new MLflow run, at once, with all that is known before training."""
    params = parameters(experiment) | parameters(context.tracking, "tracking")
    recorded = tracking.start(
        context.tracking,
        run_name=name or run_name(experiment, context.overrides),
        tags=_tags(context, placement),
        params=_as_written(params, context.from_environment) | _layer_overrides(context.overrides),
        folder=context.folder,
        parent=parent,
    )
    _record_configuration(recorded, experiment, context)
    return recorded


def note_data(recorded: tracking.Run, loop: Loop, from_environment: Mapping[Place, str] = _NOTHING) -> None:
    """What training is on, and which compiled program it shares."""
    dataset = loop.dataset
    source = from_environment.get(("data", "root"), loop.experiment.data.root or "")
    recorded.log_input(_facts(source, dataset))
    if dataset.vocabulary:
        recorded.log_text(vocabulary_text(dataset.vocabulary), VOCABULARY)
    tags = {"group": group(loop)}
    if not dataset.vocabulary:
        tags["data.range"] = shown_range(dataset.range)
    recorded.set_tags(tags)


def shown_range(values: Range) -> str:
    """What stands for black and for white, per channel where channels differ: `-1 … 1`."""
    ends = (", ".join(dict.fromkeys(f"{value:g}" for value in end)) for end in values)
    return " … ".join(ends)


def known_once(loop: Loop) -> dict[str, float]:
    """What is measured once, at the end of training; the test set is asked here."""
    return loop.test() | best(loop) | seconds(loop)


def run_name(experiment: Experiment, overrides: tuple[str, ...]) -> str:
    """A run's name: the model, and what the command line changed beside it."""
    said = (override.lstrip("+~") for override in overrides)
    changes = [
        # The choice of a group says itself: `adam`, not `optimizer=adam`.
        f"{path.split('.')[-1]}={value}" if "." in path or path == "seed" else value
        for path, _, value in (text.partition("=") for text in said)
        if path not in ("model", "data", "experiment", "data.root") and not path.startswith(("tracking", "hydra"))
    ]
    return withheld(" ".join([experiment.model.name, *changes]))


def group(loop: Loop) -> str:
    """A short name of the compiled program: runs that share it differ in traced values alone."""
    structure = str(jax.tree.structure(loop.program))
    return hashlib.sha256(structure.encode()).hexdigest()[:12]


def _tags(context: Context, placement: Placement) -> dict[str, str]:
    return context.tags | {
        "version": metadata.version("convrunner"),
        "jax": jax.__version__,
        "device": str(placement),
        "mlflow.source.name": context.command,
    }


def _as_written(params: dict[str, str], from_environment: Mapping[Place, str]) -> dict[str, str]:
    """Parameters, those that hold a value of the environment as the interpolation that asks for it."""
    found = dict(params)
    for place, text in from_environment.items():
        path = ".".join(map(str, place))
        for name in params:
            if f"{path}.".startswith(f"{name}.") or name.startswith(f"{path}."):
                found[name] = text
    return found


_LAYER_LIST = ("model.layers", "model.params", "model.blocks")


def _layer_overrides(overrides: tuple[str, ...]) -> dict[str, str]:
    """What the command line changed in the layer list, its parameters and blocks; `config.yaml` has all the rest."""
    pairs = (override.lstrip("+~").partition("=") for override in overrides)
    return {path: value for path, _, value in pairs if path.startswith(_LAYER_LIST)}


def _record_configuration(recorded: tracking.Run, experiment: Experiment, context: Context) -> None:
    recorded.log_text(context.config, "config.yaml")
    recorded.log_text(overrides_yaml(context.overrides), "overrides.yaml")
    if experiment.data.shape is not None and experiment.data.class_count is not None:
        table = withheld(describe.as_text(experiment, width=120))
        recorded.log_text(table, "describe.txt")
        recorded.set_tags({"mlflow.note.content": f"```text\n{table}```"})


def _facts(source: str, dataset: Dataset) -> tracking.DatasetFacts:
    parts = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    return tracking.DatasetFacts(
        name=dataset.name,
        digest=dataset.digest,
        counts={name: len(part) for name, part in parts.items()},
        shape=dataset.shape,
        dtype=str(dataset.train.inputs.dtype),
        classes=dataset.classes,
        source=source,
    )


def best(loop: Loop) -> dict[str, float]:
    """The epoch that `train.monitor` finds best, and validation after it; nothing where no epoch has a finite value."""
    if loop.best is None:
        return {}
    found = {f"best/val_{name}": loop.best.metrics[f"val/{name}"] for name in ("accuracy", "loss")}
    return found | {"best/epoch": float(loop.best.number)}


def seconds(loop: Loop) -> dict[str, float]:
    """Where the time of training went."""
    return {"seconds/compile": loop.compile_seconds, "seconds/train": loop.train_seconds}


def log_figures(recorded: tracking.Run, loop: Loop) -> None:
    """Learning curves, and how the validation images were classified; drawn in the background."""
    if not recorded.figures:
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
        lambda: figure(
            "learning_curves",
            history,
            best_epoch=best.number if best else None,
            monitor=loop.experiment.train.monitor.metric,
        ),
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
        paragraphs.append(f"{judged}\n{token_text(val.inputs[index], dataset.vocabulary)}\n")
    return "\n".join(paragraphs)


@endings.going_on("the model")
def log_model(recorded: tracking.Run, loop: Loop, context: Context) -> None:
    """The parameters that were kept, and the model as it can be served; written to the run's folder first."""
    folder = context.folder
    if not context.tracking.log_model:
        return
    from runner import serving  # jax.export is needed by nothing else

    log_weights(recorded, loop, context)

    def probabilities(variables: train.Variables, images: jax.Array) -> jax.Array:
        return train.predict(loop.program, variables.params, variables.statistics, images)

    serving.save_model(
        folder / "model",
        function=probabilities,
        variables=train.evaluated(loop.state),
        images=loop.dataset.val.inputs,
        classes=loop.dataset.classes,
        input_range=_input_range(loop.dataset),
    )
    if loop.dataset.vocabulary:  # the model reads tokens: whoever asks it has to know what each stands for
        (folder / "model" / VOCABULARY).write_text(vocabulary_text(loop.dataset.vocabulary), encoding="utf-8")
    recorded.log_model(folder / "model")


def _input_range(dataset: Dataset) -> tuple[float, float] | None:
    """Between which values the inputs of a served model are expected; None for bytes, whose type says it."""
    if dataset.vocabulary:
        return 0.0, float(len(dataset.vocabulary) - 1)
    if dataset.train.inputs.dtype == np.uint8:
        return None
    return min(dataset.range.black), max(dataset.range.white)


@endings.going_on(trained.WEIGHTS)
def log_weights(recorded: tracking.Run, loop: Loop, context: Context) -> None:
    """The parameters that were kept, as a file that training can begin with, and all else that `trained` loads."""
    if context.tracking.log_model:
        metrics = loop.history[-1].metrics | best(loop)
        kept = trained.of(loop.experiment, loop.program, loop.dataset, train.evaluated(loop.state), metrics)
        kept.save(context.folder, context.config)
        for name in (trained.NETWORK, trained.WEIGHTS):
            recorded.log_artifact(context.folder / name)
