"""One sweep, from its first batch to its report: a parent run in MLflow, and under it a run for every member.

    >>> with opened(Session(command="runner -m seed=1,2", folder=Path("outputs/sweeps/now"))) as session:
    ...     results = session.train(proposed)

Batches that a search proposes are trained in one session.
"""

import functools
import logging
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from runner import folders, placement, tracking
from runner.loop import Loop
from runner.placement import Placement
from runner.sweep import strategies
from runner.sweep.children import RUN_ID, Children, Search
from runner.sweep.compiles import Compiles
from runner.sweep.groups import Datasets, grouped
from runner.sweep.members import Member, Proposed, validated
from runner.sweep.publishing import publish
from runner.sweep.results import MemberResult, SweepResult
from runner.sweep.tags import SWEEP, SWEEP_IDENTITY
from runner.withheld import withheld

_log = logging.getLogger(__name__)


class Session:
    """A sweep under way."""

    def __init__(
        self, *, command: str, folder: Path, places: tuple[str, ...] = (), study: Search | None = None
    ) -> None:
        self.command, self.places, self.folder, self.study = command, places, folder, study
        objectives = study.objectives if study else (("val/accuracy", "maximize"),)
        self.children = Children(study.tags if study else _tags(folder), command, objectives, study)
        self.parent: tracking.Run | None = None
        self._began = time.perf_counter()
        self._name = "sweep"
        self._datasets = Datasets(_log.info)
        self._compiles = Compiles()
        self._space: dict[str, str] = study.space if study else {}

    def train(self, proposed: Sequence[Proposed]) -> list[MemberResult]:
        """Trains members, and returns what they came to, in their order.

        Raises ConfigError, before any of them begins, with every fault of every one.
        """
        members = validated(proposed)
        self._open(members[0], proposed)
        groups = grouped(members, self._datasets)
        settings = members[0].proposed.sweep
        self.children.announcer.expect(len(members))
        with self._compiles.counted():
            for group in groups:
                loop_of = functools.partial(self._loop_of, group.placement)
                strategies.train(group, settings.strategy, loop_of, self.children, most=settings.max_members)
        self.children.settle(wait=True)
        return [self.children.results[member.number] for member in members]

    def _loop_of(self, here: Placement, member: Member) -> Loop:
        return Loop(member.experiment, self._datasets.of(member.experiment), here)

    def _open(self, first: Member, proposed: Sequence[Proposed]) -> None:
        """Begins the parent run, or goes on with that of a sweep that was interrupted."""
        if self.parent is not None:
            return
        experiment, settings = first.experiment, first.proposed.tracking
        if self.study is None:  # another sweeper proposes the members, whose results are compared by sweep.metric
            self.children.compare_by(first.proposed.sweep.objectives)
        self.folder.mkdir(parents=True, exist_ok=True)
        # Memory is kept from here on: once JAX has started, it would be too late.
        here = placement.choose(experiment.train.device, keep_memory=experiment.train.keep_memory)
        self._space = self._space or _varied(proposed)
        varied = " × ".join(path.split(".")[-1] for path in self._space)
        name = f"sweep {experiment.model.name}" + (f": {varied}" if varied else "")
        self._name = withheld(settings.run_name or name)  # reports and best.yaml repeat it
        known = self.study.recall(RUN_ID) if self.study else None
        self.parent = tracking.start(
            settings,
            run_name=self._name,
            tags={
                **self.children.tags,
                "mlflow.source.name": self.command,
                "device": str(here),
            },
            params={} if known else {f"space.{path}": text for path, text in self._space.items()},
            folder=self.folder,
            run_id=known,
            patient=True,  # what members come to is kept in the sweep's folder whatever happens to the store
        )
        self.children.parent = self.parent
        self.children.log_models = first.proposed.sweep.log_models

    def close(self, error: BaseException | None) -> None:
        """Ends what still trains, writes the report, and ends the parent run."""
        if self.parent is None:
            return
        self.children.interrupt()
        self.children.settle(wait=True)
        self.children.log_best()
        best = self.children.best
        member, recorded = (best.member, best.recorded) if best else (None, None)
        publish(self.result(), self.parent, self.folder, member, recorded)
        interrupted = error is not None and not isinstance(error, Exception)
        self.parent.finish("KILLED" if interrupted else "FAILED" if error else "FINISHED")

    def result(self) -> SweepResult:
        """What the sweep came to, so far."""
        children = self.children
        spent = children.compile_seconds.values()
        return SweepResult(
            name=self._name,
            command=self.command,
            places=self.places,
            objectives=children.objectives,
            space=self._space,
            members=tuple(children.results[number] for number in sorted(children.results)),
            importances=self.study.importances() if self.study else {},
            seconds=time.perf_counter() - self._began,
            groups=len({result.group for result in children.results.values() if result.group}),
            compiles=self._compiles.count,
            # Alone, each would have compiled, or read back, what the first of its group did.
            seconds_saved=sum(max(own) * len(own) - sum(own) for own in spent),
            run_id=self.parent.known_id if self.parent else "",
        )


def _tags(folder: Path) -> dict[str, str]:
    """The tags of a sweep that no search proposes; folders named by the time recur in a store that others use too."""
    return {SWEEP: str(folders.short(folder)), SWEEP_IDENTITY: uuid.uuid4().hex}


def _varied(proposed: Sequence[Proposed]) -> dict[str, str]:
    """What varies among members, and the values it takes."""
    values: dict[str, dict[str, None]] = {}
    for one in proposed:
        for path, value in one.varied.items():
            values.setdefault(path, {})[str(value)] = None
    return {path: ",".join(found) for path, found in values.items()}


@contextmanager
def opened(session: Session) -> Iterator[Session]:
    """Ends the session, whatever happens."""
    error: BaseException | None = None
    try:
        yield session
    except BaseException as raised:
        error = raised
        raise
    finally:
        session.close(error)
