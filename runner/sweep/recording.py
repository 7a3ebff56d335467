"""What records a sweep: its parent run in MLflow, and who is told of its members."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from runner import placement, tracking
from runner.experiment import Experiment
from runner.observers.checkpointer import Checkpointer
from runner.observers.contents import task_tags
from runner.observers.nan_search import NanSearch
from runner.observers.profiler import Profiler
from runner.observers.recorder import Models, Recorder
from runner.observers.repeatable import Repeatable
from runner.path_names import short_names
from runner.run_figures.settings import Figures
from runner.sweep.members import Proposed, ending_tags, identity_tags
from runner.sweep.report.announcing import Announcer
from runner.sweep.report.refreshing import Refresher
from runner.sweep.settings import Objectives
from runner.sweep.tally import RUN_ID, Leader, Pruner, Search, Tally
from runner.training.member import Member
from runner.training.observer import Events, Observer

# A sweep over one of them has no model of its own, even if its first batch has only one.
_CHOOSE_MODELS = {"model", "model.name", "experiment"}


class Recording(NamedTuple):
    """The parts of a sweep that exist once its first batch is valid."""

    name: str
    parent: tracking.Run
    recorder: Recorder
    announcer: Announcer
    tally: Tally
    checkpointer: Checkpointer
    events: Events
    figures: Figures
    leader: Leader
    refresher: Refresher


def recording_of(
    first: Member,
    *,
    name: str,
    folder: Path,
    tags: Mapping[str, str],
    space: Mapping[str, str],
    objectives: Objectives,
    study: Search | None,
    models: Models,
    refresh: Callable[[], None],
) -> Recording:
    """Starts the parent run of a sweep whose first member this is, or continues that of an interrupted one.

    `space` are the values that vary, by path; `refresh` writes the report.
    """
    settings = first.experiment.train
    folder.mkdir(parents=True, exist_ok=True)
    # Keeps memory from here on: this must happen before JAX starts.
    here = placement.choose(settings.device, count=settings.device_count, keep_memory=settings.keep_memory)
    known = study.recall(RUN_ID) if study else None
    parent = tracking.start(
        first.context.tracking,
        run_name=name,
        tags={**tags, **task_tags(first.experiment.task), "device": str(here)},
        params={} if known else {f"space.{path}": text for path, text in space.items()},
        folder=folder,
        run_id=known,
        continues=True,
        held=True,
        patient=True,  # members' outcomes are kept in the sweep's folder even if the store fails
    )
    earlier = study.earlier() if study else []
    leader = Leader(objectives, earlier)
    recorder = Recorder(
        here,
        parent=parent,
        models=models,
        is_best=leader.is_beaten_by,
        begin_tags=identity_tags,
        end_tags=ending_tags,
    )
    announcer = Announcer(objectives[0][0], len(earlier))
    tally = Tally(recorder, parent, study)
    pruners: list[Observer] = [Pruner(study)] if study else []
    refresher, checkpointer = Refresher(refresh), Checkpointer(folder)
    told = [Repeatable(recorder), checkpointer, recorder, *pruners, announcer, tally, refresher]
    events = Events([NanSearch(), Profiler(), *told])
    figures = first.context.figures
    return Recording(name, parent, recorder, announcer, tally, checkpointer, events, figures, leader, refresher)


def sweep_name(proposed: Sequence[Proposed], space: Mapping[str, str]) -> str:
    """The model, unless it varies, and what varies: `sweep lenet5: learning_rate × seed`."""
    models = {one.experiment.model.name for one in proposed if isinstance(one.experiment, Experiment)}
    model = "" if len(models) > 1 or _CHOOSE_MODELS & set(space) else f" {models.pop()}"
    varied = " × ".join(short_names(space).values())
    return f"sweep{model}" + (f": {varied}" if varied else "")
