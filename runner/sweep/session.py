"""One sweep, from its first batch to its report: a parent run in MLflow, with a child run for every member.

    >>> with opened(Session(command="runner -m seed=1,2", folder=Path("outputs/sweeps/now"))) as session:
    ...     outcomes = session.train(proposed)

Batches that a search proposes are trained in one session.
"""

import functools
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rich.console import Console

from runner import folders
from runner.errors import ConvrunnerError, Fault, TrainingError
from runner.observers.activity import Activity
from runner.placement import Placement
from runner.sweep import ending
from runner.sweep.elsewhere import Elsewhere, parent_of
from runner.sweep.engines import check_strategy, note_errors, train_group
from runner.sweep.engines.compiles import Compiles
from runner.sweep.engines.distributing import Engine
from runner.sweep.engines.groups import Datasets, Group, grouped
from runner.sweep.engines.starting import engine_of
from runner.sweep.members import Proposed, going_on, validated
from runner.sweep.recording import Recording, open_run, recording_of, sweep_name
from runner.sweep.report.publishing import announce_others, present, publish_others, refresh
from runner.sweep.results import SweepResult, ranked
from runner.sweep.settings import Objectives, Sweep
from runner.sweep.tags import SWEEP, SWEEP_IDENTITY
from runner.sweep.tally import Search
from runner.training.member import Member
from runner.training.observer import Events
from runner.training.outcome import Outcome
from runner.training.plan import Plan, planned
from runner.withheld import withheld

_log = logging.getLogger(__name__)
# matplotlib takes a second to import, so that the report of a short sweep has pictures only at its end.
_SECONDS_UNTIL_DRAWN = 60.0
_SECONDS_TO_OTHERS = 1.0


class Session:
    """A sweep that is running."""

    def __init__(
        self,
        *,
        command: str,
        folder: Path,
        places: tuple[str, ...] = (),
        study: Search | None = None,
        seconds: float | None = None,
    ) -> None:
        self.command, self.places, self.folder, self.study = command, places, folder, study
        self.tags = study.tags if study else _tags(folder)
        self.objectives: Objectives = study.objectives if study else (("val/accuracy", "maximize"),)
        self._began = time.perf_counter()
        self._seconds = seconds
        self._has_begun = False  # whether a member has
        self.is_cut_short = False  # whether members are left to the next command
        self._datasets = Datasets(_log.info)
        self._compiles = Compiles()
        self._space: dict[str, str] = study.space if study else {}
        self._recording: Recording | None = None
        self._activity = Activity(Console(highlight=False))
        self._engine: Engine | None = None  # of members that train in other processes
        self._others: dict[int, Outcome] = {}  # by number, of members that another launcher ran
        self.is_joint = study is not None and study.is_joint
        self.again: Callable[[Outcome], Proposed] | None = None  # a member that any worker trained

    def train(self, proposed: Sequence[Proposed]) -> list[Outcome]:
        """Trains members, and returns the outcomes of those that ended, in the same order.

        After `sweep.seconds` no member begins but the first.
        Raises ConfigError, before training begins, with every fault of every member.
        """
        # A search knows all that it varies; else the first batch tells it.
        self._space = self._space or _varied(proposed)
        members = [going_on(member) for member in validated(proposed, self._space)]
        settings = proposed[0].sweep
        self._seconds = settings.seconds
        check_strategy(members, settings.strategy)
        if self._engine is None and settings.engine not in ("local", "workers"):
            with self._activity as activity:
                activity.now(f"starting {settings.engine}")
                self._engine = engine_of(settings)
        recording = self._recording or self._record(members[0], proposed)
        try:
            groups = grouped(members, self._datasets)
            if self._recording is None:
                self._open(recording)
        except ConvrunnerError:
            if self._recording is None and not self.is_joint:
                recording.parent.discard()
            raise
        self._recording = recording
        ended = self.study.ended_before() if self.study else {}
        waiting = [member for member in members if member.number not in ended]
        recording.announcer.expect(waiting)
        # A pruned member of a mapped program has to be ended again where it was; others end by themselves.
        epochs = {number: len(own.history) if own.status == "PRUNED" else None for number, own in ended.items()}
        earlier = recording.checkpointer.earlier(epochs)
        if self._engine is not None:
            self._train_elsewhere(self._engine, groups, settings)
        else:
            with self._compiles.counted():
                for group in groups:
                    plan_of = functools.partial(self._plan_of, group.placement)
                    note_errors(train_group(group, settings, plan_of, recording.events, earlier, self._may_begin))
        with self._activity as activity:
            recording.tally.settle(wait=True, report=activity.now)
        outcomes = [recording.tally.outcomes.get(member.number) for member in waiting]
        if left := outcomes.count(None):
            self.leave(left)
        return [outcome for outcome in outcomes if outcome is not None]

    def _open(self, recording: Recording) -> None:
        """Opens the parent run, now that the first members fit their data."""
        if self.is_joint and self.study is not None:
            with self._activity as activity, self.study.turn():
                activity.now("opening the MLflow store")
                open_run(self.study, recording.parent, recording.begin)
        else:
            recording.parent.create()
            recording.parent.await_server()

    def _train_elsewhere(self, engine: Engine, groups: Sequence[Group], settings: Sweep) -> None:
        """Trains groups in processes of an engine."""
        if self._recording is None:
            return
        recording = self._recording
        with self._activity as activity:
            activity.now("opening the MLflow store")
            opening = parent_of(recording.parent)
        elsewhere = Elsewhere(
            engine=engine,
            settings=settings,
            objectives=self.objectives,
            sweep=self.study.mark[1] if self.study else self.tags[SWEEP_IDENTITY],
            folder=self.folder,
            parent=recording.parent,
            opening=opening,
            recorder=recording.recorder,
            events=Events([recording.announcer, recording.tally, recording.refresher]),
            leader=recording.leader,
            plan_of=self._plan_of,
        )
        left = None if self._seconds is None else self._seconds - (time.perf_counter() - self._began)
        begins, self._has_begun = not self._has_begun, True
        try:
            elsewhere.train(groups, left, begins=begins)
        finally:
            recording.events.errors += elsewhere.events.errors

    def await_others(self) -> None:
        """Waits a moment for members of other workers, whose workers may die."""
        with self._activity as activity:
            activity.now("waiting for members that other workers train")
            time.sleep(_SECONDS_TO_OTHERS)

    def leave(self, count: int) -> None:
        """Leaves members to the next command, as the time is over."""
        self.is_cut_short = True
        if self._recording is not None:
            self._recording.announcer.leaves(count, self._seconds or 0)

    def _may_begin(self) -> bool:
        """Whether another member may begin, which it then does."""
        may = self.has_time()
        self._has_begun |= may
        return may

    def has_time(self) -> bool:
        """Whether `sweep.seconds` allow another member to begin.

        The first one always may: to prepare the members of a large sweep could take all of its time.
        """
        within = self._seconds is None or time.perf_counter() - self._began < self._seconds
        return within or not self._has_begun

    @property
    def ended_here(self) -> dict[int, Outcome]:
        """The outcomes of the members that this session trained, by number."""
        before = self._recording.tally.earlier if self._recording else frozenset()
        return {number: own for number, own in self.outcomes.items() if number not in before}

    @property
    def outcomes(self) -> dict[int, Outcome]:
        """The outcomes of all members that ended, by number."""
        return self._recording.tally.outcomes if self._recording else dict(self._others)

    def note(self, outcome: Outcome) -> None:
        """Notes a member that another launcher ran, for the report."""
        if not self._others and self.study is not None:
            self._others |= {own.number: own for own in self.study.earlier()}
        self._others[outcome.number] = outcome

    def _plan_of(self, here: Placement, member: Member) -> Plan:
        return planned(member.experiment, self._datasets.of(member.experiment), here)

    def _record(self, first: Member, proposed: Sequence[Proposed]) -> Recording:
        """Starts the parent run, or continues that of an interrupted sweep."""
        settings = proposed[0].sweep
        if self.study is None:  # another sweeper proposes the members, which are compared by sweep.metric
            self.objectives = settings.objectives
        return recording_of(
            first,
            # Withheld, as reports and best.yaml repeat it.
            name=withheld(first.context.tracking.run_name or sweep_name(proposed, self._space)),
            folder=self.folder,
            tags={**self.tags, "mlflow.source.name": self.command},
            space=self._space,
            objectives=self.objectives,
            study=self.study,
            models=settings.log_models,
            refresh=self._refresh,
            is_joint=self.is_joint,
        )

    def close(self, error: BaseException | None) -> None:
        """Ends members that still train, writes the report, and ends the parent run.

        With `sweep.engine=workers`, the worker that is last does the latter.
        """
        if self._engine is not None:
            self._engine.close()
        if self._recording is not None:
            self._recording.checkpointer.close()
            with self._activity as activity:
                self._recording.recorder.wait(activity.now)
                self._recording.tally.settle(wait=True, report=activity.now)
        elif not self.is_joint or error is not None:
            if self._others:
                publish_others(self.result(), self.folder)
                present(self.result(), self.folder)
            return
        with self.study.leaving() if self.study is not None else nullcontext(True) as writes:
            if writes:
                self._write(error)
        if not writes:
            self._leave_to_others(error)
        if error is None and self._recording is not None and self._recording.events.errors:
            first, log = self._recording.events.errors[0], folders.short(self.folder / "sweep.log")
            reason = withheld(f"{type(first).__name__}: {first}".split("\n")[0])
            raise TrainingError(Fault("unexpected error", f"{reason}; please report it with {log}"))

    def _write(self, error: BaseException | None) -> None:
        """Writes the report of all members, and ends the parent run."""
        if not self.is_joint and self._recording is not None:
            own = ending.of_this_process(self._recording, self.folder, error)
            ending.write(self._recording, own, self.result, self._activity)
        elif self.study is not None and self.again is not None:
            outcomes = self.study.earlier()
            ended = ranked(outcomes, self.objectives)
            found = [self.again(one) for one in (ended or outcomes)[:1]]
            if self._recording is None and found:  # this worker trained none, and the last one was killed
                recording = self._record(validated(found, self._space)[0], found)
                open_run(self.study, recording.parent, recording.begin)
                self._recording = recording
            if self._recording is None:
                return
            self._recording.tally.learn(outcomes)
            best = ending.take_best(self._recording, ended[0], found[0], self._datasets) if ended else None
            own = ending.of_workers(self._recording, best, self._space, self.folder, error)
            ending.write(self._recording, own, self.result, self._activity)

    def _leave_to_others(self, error: BaseException | None) -> None:
        """Says who writes the report."""
        if error is None and self.study is not None and not self.is_cut_short:
            if self._recording is not None:
                self._recording.tally.learn(self.study.earlier())
            else:
                self._others |= {own.number: own for own in self.study.earlier()}
            present(self.result(), self.folder)
        else:
            announce_others(self.study.others() if self.study else 0)

    def _refresh(self) -> None:
        """Writes the report of the members that ended so far."""
        if self._recording is None:
            return
        parent, recorder, figures = self._recording.parent, self._recording.recorder, self._recording.figures
        draws = bool(figures.draw) and time.perf_counter() - self._began > _SECONDS_UNTIL_DRAWN
        if self.is_joint and self.study is not None:
            self.study.refresh()
            self._recording.tally.learn(self.study.earlier())
        refresh(
            self.result(importances=False),
            None if self.is_joint else parent,
            self.folder,
            recorder.best,
            recorder.best_network if draws else None,
        )

    def result(self, *, importances: bool = True) -> SweepResult:
        """The result of the sweep so far; the importances of 1,000 members take seconds."""
        recording, outcomes = self._recording, dict(self.outcomes)
        spent = [list(own) for own in list(recording.tally.compile_seconds.values())] if recording else []
        return SweepResult(
            name=recording.name if recording else "sweep",
            command=self.command,
            places=self.places,
            objectives=self.objectives,
            space=self._space,
            members=tuple(outcomes[number] for number in sorted(outcomes)),
            earlier=len(recording.tally.earlier) if recording else len(outcomes),
            importances=self.study.importances() if self.study and importances else {},
            seconds=time.perf_counter() - self._began,
            groups=len({outcome.group for outcome in outcomes.values() if outcome.group}),
            compiles=self._compiles.count,
            # Alone, each member would have compiled, or read back, the program of its group.
            seconds_saved=sum(max(own) * len(own) - sum(own) for own in spent),
            run_id=recording.parent.known_id if recording else "",
        )


def _tags(folder: Path) -> dict[str, str]:
    """The tags of a sweep without a search. In a shared store folder names recur, so a random identity is added."""
    return {SWEEP: str(folders.short(folder)), SWEEP_IDENTITY: uuid.uuid4().hex}


def _varied(proposed: Sequence[Proposed]) -> dict[str, str]:
    """The values that vary among members, by path."""
    values: dict[str, dict[str, None]] = {}
    for one in proposed:
        for path, value in one.varied.items():
            values.setdefault(path, {})[str(value)] = None
    return {path: ",".join(found) for path, found in values.items()}


@contextmanager
def opened(session: Session) -> Iterator[Session]:
    """Closes the session at the end of the block, also after an error."""
    error: BaseException | None = None
    try:
        yield session
    except BaseException as raised:
        error = raised
        raise
    finally:
        session.close(error)
