"""What of a training is recorded in MLflow, and when: as it begins, after each epoch, and at its end."""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Final, Literal

from runner import atomic, endings, tracking
from runner.observers import contents, costs
from runner.observers.artifacts import Finished, configuration, log_figures, log_model, log_weights
from runner.observers.profiler import TRACE
from runner.placement import Placement
from runner.tracking import begun
from runner.tracking.settings import absolute_uri, without_secrets
from runner.trained import CONFIG, Trained
from runner.training import checkpoints
from runner.training.alone import Chunk
from runner.training.ledger import Epoch, Ledger
from runner.training.member import Context, Member
from runner.training.observer import Observer
from runner.training.outcome import Outcome, Status
from runner.training.plan import Plan

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
        earlier = _begun_before(context)
        identity = earlier.identity if earlier else uuid.uuid4().hex
        _note(member, identity, self.parent)  # first, as the store is opened from now on
        recorded = tracking.start(
            context.tracking,
            run_name=member.title,
            tags=contents.tags_of(member, self._placement) | dict(tags or {}),
            params=contents.params_of(member),
            folder=context.folder,
            parent=self.parent,
            held=True,
            identity=identity,
            repeats=earlier is not None,
        )
        with self._lock:
            self._runs[member.number] = recorded
        contents.record_configuration(recorded, member)
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
        contents.record_network(recorded, member, plan)
        contents.record_data(recorded, member, plan)
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
