"""What a run in MLflow says of a member: its name, tags and params, its configuration, its network and its data."""

from collections.abc import Mapping
from importlib import metadata

import jax

from runner import circumstances, describe, tracking
from runner.data import Dataset, Source, copies
from runner.data.value_range import Range
from runner.data.vocabulary import FILE as VOCABULARY
from runner.data.vocabulary import vocabulary_text
from runner.errors import shown
from runner.experiment import Experiment, parameters
from runner.launchable import Place, overrides_yaml
from runner.observers.artifacts import configuration
from runner.path_names import short_names
from runner.placement import Placement
from runner.tasks import Task
from runner.tracking.view import METRIC_TAG
from runner.trained import CONFIG
from runner.training.member import Member
from runner.training.plan import Plan
from runner.withheld import withheld


def run_name(experiment: Experiment, overrides: tuple[str, ...], names: Mapping[str, str] | None = None) -> str:
    """A run's name: the model, and what the command line changed beside it; `names` are the short names of paths."""
    said = [override.lstrip("+~").partition("=") for override in overrides]
    told = [
        (path, value)
        for path, _, value in said
        if path not in ("model", "data", "experiment", "data.root")
        and not path.startswith(("tracking", "figures", "distributed", "hydra"))
    ]
    names = names or short_names(path for path, _ in told)
    # The choice of a group says itself: `adam`, not `optimizer=adam`.
    changes = [f"{names[path]}={value}" if "." in path or path == "seed" else value for path, value in told]
    return withheld(" ".join([experiment.model.name, *changes]))


def task_tags(task: Task) -> dict[str, str]:
    """The tags of runs of another task than classification, by which the view of their experiment is made."""
    return {} if task.form == "classes" else {"task": task.name, METRIC_TAG: task.measured[0]}


def tags_of(member: Member, placement: Placement) -> dict[str, str]:
    """The tags of a member's run: those of the user, and with what it is trained."""
    context = member.context
    return (
        dict(context.tags)
        | {
            "version": metadata.version("convrunner"),
            "jax": jax.__version__,
            "device": str(placement),
            "processor": circumstances.processor(),
            "mlflow.source.name": context.command,
        }
        | circumstances.flags()
        | task_tags(member.experiment.task)
    )


def params_of(member: Member) -> dict[str, str]:
    """Every value that applies to a member; one of the environment as the interpolation that asks for it."""
    context = member.context
    params = parameters(member.experiment) | parameters(context.tracking, "tracking")
    return _as_written(params, context.from_environment) | _layer_overrides(context.overrides)


def _as_written(params: dict[str, str], from_environment: Mapping[Place, str]) -> dict[str, str]:
    """Parameters, those that hold a value of the environment as the interpolation that asks for it."""
    found = dict(params)
    for place, text in from_environment.items():
        path = ".".join(map(str, place))
        for name in params:
            if f"{path}.".startswith(f"{name}.") or name.startswith(f"{path}."):
                found[name] = text
    return found


_LEFT_OUT = "left_out_files.txt"
_LAYER_LIST = ("model.layers", "model.params", "model.blocks", "model.edit")


def _layer_overrides(overrides: tuple[str, ...]) -> dict[str, str]:
    """What the command line changed in the layer list, its parameters and blocks; `config.yaml` has all the rest."""
    pairs = (override.lstrip("+~").partition("=") for override in overrides)
    return {path: value for path, _, value in pairs if path.startswith(_LAYER_LIST)}


def record_configuration(recorded: tracking.Run, member: Member) -> None:
    """The configuration, as a file that launches again, and what the command line changed."""
    recorded.log_text(configuration(member, recorded.parent), CONFIG)
    recorded.log_text(overrides_yaml(member.context.overrides), "overrides.yaml")


def record_network(recorded: tracking.Run, member: Member, plan: Plan) -> None:
    """The layer table. The data are read by now, so that sizes and classes are known that no file declares."""
    table = withheld(describe.as_text(member.experiment, width=120, network=plan.program.network))
    recorded.log_text(table, "describe.txt")
    recorded.set_tags({"mlflow.note.content": f"```text\n{table}```"})


def record_data(recorded: tracking.Run, member: Member, plan: Plan) -> None:
    """What training is on, and which compiled program it shares."""
    dataset = plan.dataset
    source = member.context.from_environment.get(("data", "root"), member.experiment.data.root or "")
    recorded.log_input(_facts(source, dataset))
    recorded.log_params(_found(member.experiment.data, plan))
    if dataset.vocabulary:
        recorded.log_text(vocabulary_text(dataset.vocabulary), VOCABULARY)
    tags = {"group": plan.group}
    if not dataset.vocabulary:
        tags["data.range"] = shown_range(dataset.range)
    if dataset.left_out.bad:
        tags["data.skipped_files"] = str(len(dataset.left_out.bad))
    if dataset.left_out.other:
        tags["data.files_of_other_kinds"] = str(len(dataset.left_out.other))
    if leaks := copies.summary(dataset.leaks):
        tags["data.leakage"] = leaks
    if listed := dataset.left_out.listed():
        recorded.log_text(listed, _LEFT_OUT)
    recorded.set_tags(tags)


def _found(data: Source, plan: Plan) -> dict[str, str]:
    """What the configuration leaves open, and the data or their statistics decide."""
    dataset, program = plan.dataset, plan.program
    found: dict[str, object] = {}
    if dataset.form != "classes":
        if data.targets is None:
            found["data.targets"] = dataset.classes
    else:
        if data.classes is None:
            found["data.classes"] = len(dataset.classes)
        if data.class_names is None:
            found["data.class_names"] = dataset.classes
    if data.shape is None and not dataset.vocabulary:
        images = len(dataset.shape) == 3
        axes = ("image.height", "image.width", "image.channels") if images else ("signal.length", "signal.channels")
        found |= {f"data.{axis}": size for axis, size in zip(axes, dataset.shape, strict=True)}
    for name, own, values in (("mean", data.mean, program.mean), ("std", data.std, program.std)):
        if own is None and not dataset.vocabulary:
            found[f"data.{name}"] = tuple(float(f"{value:.6g}") for value in values)
    for name in ("mean", "std"):
        measured = getattr(program.task, name, None)
        if measured is not None and getattr(plan.experiment.task, name) is None:
            found[f"task.{name}"] = tuple(float(f"{value:.6g}") for value in measured)
    return {name: shown(value, longest=tracking.PARAM_CHARACTERS) for name, value in found.items()}


def shown_range(values: Range) -> str:
    """What stands for black and for white, per channel where channels differ: `-1 … 1`."""
    ends = (", ".join(dict.fromkeys(f"{value:g}" for value in end)) for end in values)
    return " … ".join(ends)


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
        form=dataset.form,
    )
