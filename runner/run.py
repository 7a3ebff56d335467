"""One experiment, from its record to a finished MLflow run.

>>> outcome = run(experiment, Context(folder=Path("outputs/now")))
>>> outcome.metrics["test/accuracy"]
"""

import logging
from collections.abc import Sequence
from dataclasses import replace

from runner import data, folders, placement
from runner.errors import ConfigError, DataError
from runner.experiment import Experiment
from runner.observers.display import Display
from runner.observers.nan_search import NanSearch
from runner.observers.profiler import Profiler
from runner.observers.recorder import Recorder, run_name
from runner.observers.repeatable import Repeatable
from runner.training.driver import train
from runner.training.member import Context, Member
from runner.training.observer import Events, Observer
from runner.training.outcome import Outcome
from runner.training.plan import Plan, planned

_log = logging.getLogger(__name__)


def run(experiment: Experiment, context: Context, observers: Sequence[Observer] = ()) -> Outcome:
    """Trains, tests and records one experiment; `observers` are told of it first. Raises ConvrunnerError.

    A run that fails is recorded as FAILED; a configuration or data that are rejected leave nothing in MLflow.
    """
    display = Display()
    here = placement.choose(experiment.train.device, keep_memory=experiment.train.keep_memory)
    member = Member(0, run_name(experiment, context.overrides), experiment, context)
    recorder = Recorder(here)
    # Now, so that MLflow is imported while the data are read.
    recorded = recorder.open(member)

    def plan_of(member: Member) -> Plan:
        try:
            return planned(experiment, data.load(experiment.source, report=_log.info), here)
        except (ConfigError, DataError):
            recorder.discard(member)
            raise

    # The display comes before the recorder, which saves the model at the end.
    events = Events([Repeatable(recorder), *observers, NanSearch(), Profiler(), display, recorder])
    with display.activity as activity:
        try:
            [ended] = train([member], plan_of, events)
        finally:
            recorder.wait(activity.now)
    if error := ended.error or next(iter(events.errors), None):
        raise error
    recorded.check(wait=False)  # a database that cannot be opened may be found only now
    display.say(_places(context, recorded.known_id))
    return replace(ended.outcome, run_id=recorded.known_id)


def _places(context: Context, run_id: str) -> list[str]:
    """Where a run is found, and where it is compared with others."""
    folder = f"  {folders.short(context.folder)}"
    if not context.tracking.enabled:
        return [f"{folder}: the model, the configuration and the log; tracking is off, so nothing is in MLflow"]
    return [folder, f"  MLflow run {run_id}; compare runs with: python -m runner ui"] if run_id else [folder]
