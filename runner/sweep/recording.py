"""What records a sweep: its parent run in MLflow, and who is told of its members."""

import time
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
from runner.tracking.messages import Opening
from runner.tracking.settings import absolute_uri
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
    begin: Callable[[str | None], tracking.Run]  # begins the parent run, or continues the one with this id


def recording_of(
    first: Member,
    *,
    is_joint: bool = False,
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

    `space` are the values that vary, by path; `refresh` writes the report. With `is_joint`, the parent run is only a
    handle, as several processes record members under it.
    """
    settings = first.experiment.train
    folder.mkdir(parents=True, exist_ok=True)
    # Keeps memory from here on: this must happen before JAX starts.
    here = placement.choose(settings.device, count=settings.device_count, keep_memory=settings.keep_memory)
    known = study.recall(RUN_ID) if study else None

    def begin(run_id: str | None, *, continues: bool = False) -> tracking.Run:
        return tracking.start(
            first.context.tracking,
            run_name=name,
            tags={**tags, **task_tags(first.experiment.task), "device": str(here)},
            params={} if run_id else {f"space.{path}": text for path, text in space.items()},
            folder=folder,
            run_id=run_id,
            continues=continues,
            held=True,
            patient=True,  # members' outcomes are kept in the sweep's folder even if the store fails
        )

    parent = handle(first.context.tracking, name, folder) if is_joint else begin(known, continues=True)
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
    return Recording(name, parent, recorder, announcer, tally, checkpointer, events, figures, leader, refresher, begin)


def handle(settings: tracking.Tracking, name: str, folder: Path) -> tracking.Run:
    """A handle of the run of a sweep that several workers train, for one of them; its id is not known yet."""
    now = int(time.time() * 1000)
    opening = Opening(absolute_uri(settings.uri), settings.experiment, settings.run_name or name, {}, now)
    return tracking.Run.of_another_process(opening, folder, enabled=settings.enabled)


def open_run(search: Search, parent: tracking.Run, begin: Callable[[str | None], tracking.Run]) -> None:
    """Has the store create the run, or go on with it if a worker was first; `parent` is the handle of it.

    Must be called in the turn of this worker. Waits until the store has answered. Raises TrackingError.
    """
    if not parent.enabled:
        return
    run = begin(search.recall(RUN_ID))
    run.create()
    try:
        run.await_server()
        run_id = run.run_id
    finally:
        run.discard()  # the store has the run, and nothing else was logged: whoever ends the sweep does
    search.remember(RUN_ID, run_id)
    parent.is_recorded_as(run_id)


def sweep_name(proposed: Sequence[Proposed], space: Mapping[str, str]) -> str:
    """The model, unless it varies, and what varies: `sweep lenet5: learning_rate × seed`."""
    models = {one.experiment.model.name for one in proposed if isinstance(one.experiment, Experiment)}
    model = "" if len(models) > 1 or _CHOOSE_MODELS & set(space) else f" {models.pop()}"
    varied = " × ".join(short_names(space).values())
    return f"sweep{model}" + (f": {varied}" if varied else "")
