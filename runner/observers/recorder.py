"""What of a training is recorded in MLflow, and when: as it begins, after each epoch, and at its end."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final, Literal

import jax
import numpy as np

from runner import describe, endings, tracking, train
from runner.data import Dataset
from runner.data.value_range import Range
from runner.data.vocabulary import token_text, vocabulary_text
from runner.experiment import Experiment, parameters
from runner.launchable import Place, launchable, overrides_yaml
from runner.observers.profiler import TRACE
from runner.placement import Placement
from runner.trained import CONFIG, NETWORK, WEIGHTS, Trained
from runner.training.alone import Chunk
from runner.training.ledger import Epoch, Ledger
from runner.training.member import Context, Member
from runner.training.observer import Observer
from runner.training.outcome import Outcome, Status
from runner.training.plan import Plan
from runner.withheld import withheld

VOCABULARY = "vocabulary.txt"
Models = Literal["all", "best", "none"]
Tags = Mapping[str, str]
# MLflow has no word for a pruned run: it is one that was ended on purpose before its time.
_IN_MLFLOW: Final[Mapping[Status, tracking.Status]] = {
    "FINISHED": "FINISHED",
    "FAILED": "FAILED",
    "PRUNED": "KILLED",
    "KILLED": "KILLED",
}


@dataclass(frozen=True)
class _Finished:
    """A member that was trained."""

    member: Member
    plan: Plan
    outcome: Outcome
    trained: Trained


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
        self._begin_tags, self._end_tags = begin_tags, end_tags
        self._runs: dict[int, tracking.Run] = {}
        self._plans: dict[int, Plan] = {}  # of members that train
        self._best: _Finished | None = None
        self._lock = threading.Lock()

    def open(self, member: Member, tags: Tags | None = None) -> tracking.Run:
        """Begins the member's run with all that is known before its data are, if that was not done before."""
        with self._lock:
            known = self._runs.get(member.number)
        if known is not None:
            return known
        context = member.context
        context.folder.mkdir(parents=True, exist_ok=True)
        params = parameters(member.experiment) | parameters(context.tracking, "tracking")
        recorded = tracking.start(
            context.tracking,
            run_name=member.title,
            tags=_tags(context, self._placement) | dict(tags or {}),
            params=_as_written(params, context.from_environment) | _layer_overrides(context.overrides),
            folder=context.folder,
            parent=self.parent,
        )
        with self._lock:
            self._runs[member.number] = recorded
        _record_configuration(recorded, member)
        return recorded

    def run_of(self, number: int) -> tracking.Run | None:
        """The run of a member; None if it never began."""
        return self._runs.get(number)

    def begins(self, member: Member, plan: Plan) -> None:
        self._plans[member.number] = plan
        # With all its tags at once: the store may be asked for them as soon as it has the run.
        _record_data(self.open(member, self._begin_tags(member, plan)), member, plan)

    def chunk(self, member: Member, chunk: Chunk) -> None:
        self._runs[member.number].check(wait=False)

    def epoch(self, member: Member, epoch: Epoch, ledger: Ledger) -> str:
        recorded = self._runs[member.number]
        recorded.check(wait=False)
        recorded.log_metrics(epoch.metrics, step=epoch.number)
        return ""

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        recorded, plan = self._runs.get(member.number), self._plans.pop(member.number, None)
        if recorded is None:
            return
        try:
            if outcome.status == "FAILED":
                recorded.set_tags({"failure": outcome.reason})
            elif plan is not None and trained is not None:
                recorded.log_metrics(outcome.once, step=0)  # one value: MLflow then compares runs by bars
                if (trace := member.context.folder / TRACE).exists():
                    recorded.log_artifact(trace)
                self._log_model(recorded, _Finished(member, plan, outcome, trained))
        finally:
            recorded.set_tags(self._end_tags(outcome))
            recorded.end(_IN_MLFLOW[outcome.status])

    def wait(self) -> None:
        """Waits until the store has what was recorded, or for so long as `tracking.Run.wait` says."""
        for recorded in self._runs.values():
            recorded.wait()

    @property
    def best(self) -> Member | None:
        """The best of the members that ended here."""
        return self._best.member if self._best else None

    def log_best(self) -> None:
        """Logs figures and the model of the best member, which takes a second or two."""
        if self.models != "best" or self._best is None:
            return
        recorded = tracking.reopen(self._runs[self._best.member.number])
        _log_figures(recorded, self._best)
        _log_model(recorded, self._best)
        recorded.finish("FINISHED")

    def _log_model(self, recorded: tracking.Run, found: _Finished) -> None:
        if self.models == "all":
            _log_figures(recorded, found)
            _log_model(recorded, found)
        with self._lock:
            if self._is_best(found.outcome):
                if self.models == "best":
                    _log_weights(recorded, found)
                self._best = found


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


def _tags(context: Context, placement: Placement) -> dict[str, str]:
    return dict(context.tags) | {
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


def _record_configuration(recorded: tracking.Run, member: Member) -> None:
    experiment, context = member.experiment, member.context
    recorded.log_text(_configuration(recorded, member), CONFIG)
    recorded.log_text(overrides_yaml(context.overrides), "overrides.yaml")
    if experiment.data.shape is not None and experiment.data.class_count is not None:
        table = withheld(describe.as_text(experiment, width=120))
        recorded.log_text(table, "describe.txt")
        recorded.set_tags({"mlflow.note.content": f"```text\n{table}```"})


def _configuration(recorded: tracking.Run, member: Member) -> str:
    """The member's whole configuration, as a file that launches again."""
    about = "trains this again" if recorded.parent is None else "trains this member again"
    return launchable(member.context.config, "config", about, member.context.from_environment)


def _record_data(recorded: tracking.Run, member: Member, plan: Plan) -> None:
    """What training is on, and which compiled program it shares."""
    dataset = plan.dataset
    source = member.context.from_environment.get(("data", "root"), member.experiment.data.root or "")
    recorded.log_input(_facts(source, dataset))
    if dataset.vocabulary:
        recorded.log_text(vocabulary_text(dataset.vocabulary), VOCABULARY)
    tags = {"group": plan.group}
    if not dataset.vocabulary:
        tags["data.range"] = shown_range(dataset.range)
    recorded.set_tags(tags)


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
    )


def _log_figures(recorded: tracking.Run, found: _Finished) -> None:
    """Learning curves, and how the validation images were classified; drawn in the background."""
    if not recorded.figures:
        return
    dataset, outcome = found.plan.dataset, found.outcome
    val, classes = dataset.val, dataset.classes
    probabilities = found.trained.probabilities(val.inputs, found.plan.placement)
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (val.labels, probabilities.argmax(axis=1)), 1)
    best = outcome.metrics.get("best/epoch")
    monitor = found.member.experiment.train.monitor.metric

    def figure(name: str, *args: Any, **kwargs: Any) -> bytes:
        from runner import figures  # matplotlib takes its time, and the thread that draws has it

        drawn: bytes = figures.png(getattr(figures, name)(*args, **kwargs))
        return drawn

    recorded.log_figure(
        "figures/learning_curves.png",
        lambda: figure(
            "learning_curves", list(outcome.history), best_epoch=int(best) if best else None, monitor=monitor
        ),
    )
    recorded.log_figure("figures/confusion_matrix.png", lambda: figure("confusion_matrix", counts, classes))
    if dataset.vocabulary:
        recorded.log_text(_worst_texts(dataset, probabilities), "worst_texts.txt")
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


@endings.warn_on_file_errors("the model")
def _log_model(recorded: tracking.Run, found: _Finished) -> None:
    """The parameters that were kept, and the model as it can be served; written to the member's folder first."""
    if not found.member.context.tracking.log_model:
        return
    from runner import serving  # jax.export is needed by nothing else

    _log_weights(recorded, found)
    folder, dataset, program = found.member.context.folder / "model", found.plan.dataset, found.plan.program

    def probabilities(variables: train.Variables, images: jax.Array) -> jax.Array:
        return train.predict(program, variables.params, variables.statistics, images)

    serving.save_model(
        folder,
        function=probabilities,
        variables=train.Variables(found.trained.params, found.trained.statistics),
        images=dataset.val.inputs,
        classes=dataset.classes,
        input_range=_input_range(dataset),
    )
    if dataset.vocabulary:  # the model reads tokens, so its user has to know what each stands for
        (folder / VOCABULARY).write_text(vocabulary_text(dataset.vocabulary), encoding="utf-8")
    recorded.log_model(folder)


def _input_range(dataset: Dataset) -> tuple[float, float] | None:
    """Between which values the inputs of a served model are expected; None for bytes, whose type says it."""
    if dataset.vocabulary:
        return 0.0, float(len(dataset.vocabulary) - 1)
    if dataset.train.inputs.dtype == np.uint8:
        return None
    return min(dataset.range.black), max(dataset.range.white)


@endings.warn_on_file_errors(WEIGHTS)
def _log_weights(recorded: tracking.Run, found: _Finished) -> None:
    """The parameters that were kept, as a file that training can begin with, and all else that `trained` loads."""
    if found.member.context.tracking.log_model:
        folder = found.member.context.folder
        found.trained.save(folder, _configuration(recorded, found.member))
        for name in (NETWORK, WEIGHTS):
            recorded.log_artifact(folder / name)
