"""What of a training is recorded in MLflow, and when: as it begins, after each epoch, and at its end."""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Final, Literal

import jax

from runner import atomic, circumstances, describe, endings, tracking
from runner.data import Dataset, Source, copies
from runner.data.value_range import Range
from runner.data.vocabulary import FILE as VOCABULARY
from runner.data.vocabulary import vocabulary_text
from runner.errors import shown
from runner.experiment import Experiment, parameters
from runner.launchable import Place, overrides_yaml
from runner.observers import costs
from runner.observers.artifacts import Finished, configuration, log_figures, log_model, log_weights
from runner.observers.profiler import TRACE
from runner.path_names import short_names
from runner.placement import Placement
from runner.tasks import Task
from runner.tracking import begun
from runner.tracking.settings import absolute_uri, without_secrets
from runner.tracking.view import METRIC_TAG
from runner.trained import CONFIG, Trained
from runner.training import checkpoints
from runner.training.alone import Chunk
from runner.training.ledger import Epoch, Ledger
from runner.training.member import Context, Member
from runner.training.observer import Observer
from runner.training.outcome import Outcome, Status
from runner.training.plan import Plan
from runner.withheld import withheld

_log = logging.getLogger(__name__)
Models = Literal["all", "best", "none"]
Tags = Mapping[str, str]
# MLflow has no word for a pruned run: it is one that was ended on purpose before its time.
_IN_MLFLOW: Final[Mapping[Status, tracking.Status]] = {
    "FINISHED": "FINISHED",
    "FAILED": "FAILED",
    "PRUNED": "KILLED",
    "KILLED": "KILLED",
}


class Recorder(Observer):
    """Records members in MLflow, each as a run of its own, without waiting for the store."""

    def __init__(
        self,
        placement: Placement,
        *,
        parent: tracking.Run | None = None,
        models: Models = "all",
        is_best: Callable[[Outcome], bool] = lambda outcome: True,
        begin_tags: Callable[[Member, Plan], Tags] = lambda member, plan: {},
        end_tags: Callable[[Outcome], Tags] = lambda outcome: {},
    ) -> None:
        """With a `parent`, runs are listed under it.

        `models` says of which members the figures and the model are logged; of the best one later, by `log_best`, and
        until then only its weights. `is_best` says whether an outcome is the best one so far.
        """
        self.parent, self.models = parent, models
        self._placement, self._is_best = placement, is_best
        self.spending = costs.Spending(placement)
        self._begin_tags, self._end_tags = begin_tags, end_tags
        self._runs: dict[int, tracking.Run] = {}
        self._plans: dict[int, Plan] = {}  # of members that train
        self._best: Finished | None = None
        self._lock = threading.Lock()

    def open(self, member: Member, tags: Tags | None = None) -> tracking.Run:
        """The member's run, with all that is known before its data are read; it is created when training begins."""
        with self._lock:
            known = self._runs.get(member.number)
        if known is not None:
            return known
        context = member.context
        context.folder.mkdir(parents=True, exist_ok=True)
        params = parameters(member.experiment) | parameters(context.tracking, "tracking")
        earlier = _begun_before(context)
        identity = earlier.identity if earlier else uuid.uuid4().hex
        _note(member, identity, self.parent)  # first, as the store is opened from now on
        recorded = tracking.start(
            context.tracking,
            run_name=member.title,
            tags=_tags(context, self._placement) | task_tags(member.experiment.task) | dict(tags or {}),
            params=_as_written(params, context.from_environment) | _layer_overrides(context.overrides),
            folder=context.folder,
            parent=self.parent,
            held=True,
            identity=identity,
            repeats=earlier is not None,
        )
        with self._lock:
            self._runs[member.number] = recorded
        _record_configuration(recorded, member)
        return recorded

    def discard(self, member: Member) -> None:
        """Leaves no trace of a member in MLflow: its data or its configuration were rejected."""
        self._runs.pop(member.number).discard()

    def adopt(self, found: Finished, run: tracking.Run) -> None:
        """Takes a member that another process has trained and recorded as the best one so far."""
        with self._lock:
            self._runs[found.member.number] = run
            self._best = found

    def run_of(self, number: int) -> tracking.Run | None:
        """The run of a member; None if it never began."""
        return self._runs.get(number)

    def begins(self, member: Member, plan: Plan) -> None:
        self._plans[member.number] = plan
        # With all its tags at once: the store may be asked for them as soon as it has the run.
        recorded = self.open(member, self._begin_tags(member, plan))
        recorded.create()
        _record_network(recorded, member, plan)
        _record_data(recorded, member, plan)
        self.spending.note()

    def chunk(self, member: Member, chunk: Chunk) -> None:
        self._runs[member.number].await_server()

    def epoch(self, member: Member, epoch: Epoch, ledger: Ledger) -> str:
        recorded = self._runs[member.number]
        recorded.check(wait=False)
        recorded.log_metrics(epoch.metrics, step=epoch.number)
        if epoch.number == 1:  # not before: the UI lists metrics in the order in which a run first had them
            recorded.log_summary(costs.of_network(self._plans[member.number].program.network))
        self.spending.note()
        return ""

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        recorded, plan = self._runs.get(member.number), self._plans.pop(member.number, None)
        if recorded is None:
            return
        recorded.create()
        recorded.set_tags(_checkpoints_of(member))
        try:
            if outcome.status == "FAILED":
                recorded.set_tags({"failure": outcome.reason})
            elif outcome.status == "KILLED" and outcome.reason:
                recorded.set_tags({"end_reason": outcome.reason})
            elif plan is not None and trained is not None:
                # Members of a sweep share the process, so that only the sweep as a whole has a peak and an energy.
                spent = self.spending.totals() if self.parent is None else {}
                recorded.log_summary(outcome.once | spent)
                if (trace := member.context.folder / TRACE).exists():
                    recorded.log_artifact(trace)
                self._keep(recorded, Finished(member, plan, outcome, trained))
        finally:
            recorded.set_tags(self._end_tags(outcome))
            recorded.end(_IN_MLFLOW[outcome.status])

    def wait(self, report: Callable[[str], None]) -> None:
        """Waits until the store has what was recorded, or for so long as `tracking.Run.wait` says.

        `report` is called with what is being done.
        """
        for recorded in self._runs.values():
            recorded.wait(report)

    @property
    def best(self) -> Member | None:
        """The best of the members that ended here."""
        return self._best.member if self._best else None

    @property
    def best_network(self) -> Trained | None:
        """What the best of these members learnt."""
        return self._best.trained if self._best else None

    def log_best(self, report: Callable[[str], None]) -> None:
        """Logs figures and the model of the best member, which takes a second or two, and registers the model."""
        if self._best is None:
            return
        name = self._best.member.context.tracking.registered
        if name and self.models == "none":
            _log.warning("tracking.register: no model is registered, as sweep.log_models=none")
        if self.models == "none" or (self.models == "all" and not name):
            return
        report("saving the model of the best member")
        recorded = tracking.reopen(self._runs[self._best.member.number])
        if self.models == "best":
            log_figures(recorded, self._best)
            log_model(recorded, self._best)
        if name:
            recorded.register(*name)
        recorded.finish("FINISHED", report)

    def _keep(self, recorded: tracking.Run, found: Finished) -> None:
        if self.models == "all":
            log_figures(recorded, found)
            log_model(recorded, found)
            if self.parent is None and (name := found.member.context.tracking.registered):
                recorded.register(*name)
        with self._lock:
            if self._is_best(found.outcome):
                if self.models == "best":
                    log_weights(recorded, found)
                self._best = found


def _checkpoints_of(member: Member) -> dict[str, str]:
    """The tag that says what the checkpoints of a member take on disk, if it has any."""
    folder = member.context.folder / checkpoints.FOLDER
    found = checkpoints.found(folder)
    return {"checkpoints": f"{len(found)}, {checkpoints.size_bytes(folder) / 1e6:.1f} MB"} if found else {}


def _begun_before(context: Context) -> begun.Begun | None:
    """The run that an earlier process has begun in the folder, if the member goes on with it."""
    found = begun.read(context.folder) if context.goes_on else None
    return found if found is not None and found.overrides == context.overrides else None


@endings.warn_on_file_errors(begun.RUN)
def _note(member: Member, identity: str, parent: tracking.Run | None) -> None:
    """Writes to the run's folder what has begun there, and for a single run all that it takes to begin it again."""
    context = member.context
    command, uri = without_secrets(context.command), absolute_uri(context.tracking.uri)
    known = begun.Begun(identity, member.title, context.overrides, command, without_secrets(uri))
    begun.write(context.folder, known)
    if parent is None:
        atomic.write(context.folder / CONFIG, configuration(member, parent).encode())
        if context.tracking.enabled:
            begun.note(uri, identity, context.folder.absolute())


def run_name(experiment: Experiment, overrides: tuple[str, ...], names: Mapping[str, str] | None = None) -> str:
    """A run's name: the model, and what the command line changed beside it; `names` are the short names of paths."""
    said = [override.lstrip("+~").partition("=") for override in overrides]
    told = [
        (path, value)
        for path, _, value in said
        if path not in ("model", "data", "experiment", "data.root")
        and not path.startswith(("tracking", "figures", "hydra"))
    ]
    names = names or short_names(path for path, _ in told)
    # The choice of a group says itself: `adam`, not `optimizer=adam`.
    changes = [f"{names[path]}={value}" if "." in path or path == "seed" else value for path, value in told]
    return withheld(" ".join([experiment.model.name, *changes]))


def task_tags(task: Task) -> dict[str, str]:
    """The tags of runs of another task than classification, by which the view of their experiment is made."""
    return {} if task.form == "classes" else {"task": task.name, METRIC_TAG: task.measured[0]}


def _tags(context: Context, placement: Placement) -> dict[str, str]:
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
    )


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


def _record_configuration(recorded: tracking.Run, member: Member) -> None:
    recorded.log_text(configuration(member, recorded.parent), CONFIG)
    recorded.log_text(overrides_yaml(member.context.overrides), "overrides.yaml")


def _record_network(recorded: tracking.Run, member: Member, plan: Plan) -> None:
    """The layer table. The data are read by now, so that sizes and classes are known that no file declares."""
    table = withheld(describe.as_text(member.experiment, width=120, network=plan.program.network))
    recorded.log_text(table, "describe.txt")
    recorded.set_tags({"mlflow.note.content": f"```text\n{table}```"})


def _record_data(recorded: tracking.Run, member: Member, plan: Plan) -> None:
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
