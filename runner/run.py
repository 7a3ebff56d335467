"""One experiment, from its record to a finished MLflow run.

>>> outcome = run(experiment, Context(folder=Path("outputs/now")))
>>> outcome.metrics["test/accuracy"]
"""

import logging
import shlex
from collections.abc import Sequence
from dataclasses import replace

from runner import data, endings, folders, hosts, interrupts, placement
from runner.data import copies
from runner.errors import ConfigError, DataError
from runner.experiment import Experiment
from runner.following import agree_on_beginning, agree_on_settings, follow
from runner.observers.checkpointer import Checkpointer
from runner.observers.contents import run_name
from runner.observers.display import Display
from runner.observers.moments import MomentKeeper
from runner.observers.nan_search import NanSearch
from runner.observers.parting import Parting
from runner.observers.profiler import Profiler
from runner.observers.recorder import Recorder
from runner.observers.repeatable import Repeatable
from runner.tracking import begun
from runner.training import checkpoints
from runner.training.alone import Snapshot
from runner.training.driver import NOTHING, train
from runner.training.member import Context, Member
from runner.training.observer import Events, Observer
from runner.training.outcome import Outcome
from runner.training.plan import Plan, planned

_log = logging.getLogger(__name__)


def run(experiment: Experiment, context: Context, observers: Sequence[Observer] = ()) -> Outcome:
    """Trains, tests and records one experiment, or goes on with one that was killed; `observers` are told of it first.

    Raises ConvrunnerError.

    A run that fails is recorded as FAILED; a configuration or data that are rejected leave nothing in MLflow.
    """
    if not hosts.is_first():
        return follow(experiment, context)
    with folders.held(context.folder):
        return _run(experiment, context, observers)


def _run(experiment: Experiment, context: Context, observers: Sequence[Observer]) -> Outcome:
    agree_on_settings(experiment)
    display = Display()
    here = placement.choose(
        experiment.train.device,
        count=experiment.train.device_count,
        keep_memory=experiment.train.keep_memory,
    )
    member = Member(0, run_name(experiment, context.overrides), experiment, context)
    recorder, checkpointer = Recorder(here), Checkpointer()
    # Now, so that MLflow is imported while the data are read.
    recorded = recorder.open(member)
    snapshots: list[Snapshot | None] = []

    def plan_of(member: Member) -> Plan:
        try:
            dataset = data.load(experiment.source, report=_log.info)
            if found := copies.summary(dataset.leaks):
                _log.warning("%s (%s)", found, copies.ADVICE)
            for line in dataset.remarks:
                _log.warning("%s", line)
            plan = planned(experiment, dataset, here)
            snapshots.append(checkpointer.alone(member, plan))
            agree_on_beginning(dataset, plan, snapshots[0])
        except (ConfigError, DataError):
            recorder.discard(member)
            raise
        if here.remark:
            display.say([here.remark])
        if context.goes_on:
            line = _beginning(snapshots[0], plan)
            recorded.set_tags({"resumed": line, **context.tags})
            display.say([f"goes on {line}"])
        return plan

    # The checkpoints come before the recorder, which notes their size, and the display too: the recorder saves the
    # model at the end. The moments come before it as well: it draws the page.
    keepers = (checkpointer, MomentKeeper())
    events = Events([Parting(), Repeatable(recorder), *observers, NanSearch(), Profiler(), *keepers, display, recorder])
    with display.activity as activity:
        try:
            [ended] = train([member], plan_of, events, earlier=NOTHING._replace(alone=lambda *_: snapshots[0]))
        except KeyboardInterrupt as signal:
            display.say([_how_to_go_on(context, interrupts.word(signal))])
            raise
        finally:
            checkpointer.close()
            recorder.wait(activity.now)
    with endings.warn_on_file_errors(begun.RUN):
        begun.end(context.folder, ended.outcome.status)
    if error := ended.error or next(iter(events.errors), None):
        raise error
    recorded.check(wait=False)  # a database that cannot be opened may be found only now
    display.say(_places(context, recorded.known_id))
    return replace(ended.outcome, run_id=recorded.known_id)


def _beginning(snapshot: Snapshot | None, plan: Plan) -> str:
    """From where a run goes on, in words."""
    if snapshot is None:
        return "from the beginning, as it has no checkpoint"
    step, epochs = int(snapshot.state.step), len(snapshot.ledger.history)
    return f"after step {step} of {plan.total_steps}, epoch {epochs} of {plan.epochs} was the last whole one"


def _how_to_go_on(context: Context, word: str) -> str:
    """What an interrupted run has kept, and the command that goes on with it."""
    saved = bool(checkpoints.found(context.folder / checkpoints.FOLDER))
    command = shlex.join(["python", "-m", "runner", "resume", f"run={folders.short(context.folder)}"])
    return f"{word}, with a checkpoint; go on with: {command}" if saved else f"{word}; begin again with: {command}"


def _places(context: Context, run_id: str) -> list[str]:
    """Where a run is found, and where it is compared with others."""
    folder = f"  {folders.short(context.folder)}"
    if not context.tracking.enabled:
        return [f"{folder}: the model, the configuration and the log; tracking is off, so nothing is in MLflow"]
    return [folder, f"  MLflow run {run_id}; compare runs with: python -m runner ui"] if run_id else [folder]
