"""The handle of one MLflow run: its messages wait in a queue until the store has accepted them.

They wait in `untracked.jsonl` in the run's folder too, from the moment that the run is created. The file is deleted at
the end of the run if the store has accepted everything; else `python -m runner sync` sends the rest later.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from runner import folders
from runner.errors import TrackingError
from runner.processes import Process
from runner.tracking import begun, messages
from runner.tracking.faults import not_opened, reason
from runner.tracking.messages import DatasetFacts, Message, Opening, Status
from runner.tracking.outbox import Outbox
from runner.tracking.reaching import is_server
from runner.tracking.settings import without_secrets
from runner.tracking.store import Store
from runner.tracking.summaries import recorded_name
from runner.tracking.untracked import UNTRACKED, Journal
from runner.tracking.view import run_link

_NAME_CHARACTERS = 250

_log = logging.getLogger(__name__)
# How long training waits for the first answer of a server.
ANSWER_SECONDS = 10.0
# Time limits for the last messages at the end of a run: while the store does not answer, and while it answers.
AWAY_SECONDS, _BUSY_SECONDS = 15.0, 600.0


def _silent(text: str) -> None:
    """Shows nothing."""


class Run:
    """One run of an MLflow store. Every method that logs returns at once."""

    def __init__(
        self,
        opening: Opening,
        folder: Path,
        *,
        enabled: bool = True,
        parent: "Run | None" = None,
        patient: bool = False,
        reopened: bool = False,
    ) -> None:
        """A new run, or with `reopened` one that the store may already have.

        The store creates it after `create`. A `patient` run waits for a database that cannot be opened.
        """
        self.opening = opening
        self.parent = parent
        self.patient = patient
        self.folder = folder.absolute()
        self.experiment_id: str | None = None
        self._run_id: str | None = None
        self.enabled = enabled
        self._fault: TrackingError | None = None
        self.wake = threading.Event()
        # Shared by the runs of a store: `away`, it does not answer; `timed_out`, a run has waited in vain for it.
        self.away, self.timed_out = threading.Event(), threading.Event()
        self.tried = threading.Event()  # the store has been opened, or it is known that it cannot be
        self._reopened = self._may_exist = reopened
        self._may_be_created = False
        self._has_untracked = False  # the run, or a child of it, has left `untracked.jsonl`
        self._begun = threading.Event()
        self._ended = threading.Event()
        self._ending = False
        self._outbox = Outbox(Journal(self.folder / UNTRACKED))

    @classmethod
    def of_another_process(
        cls, opening: Opening, folder: Path, *, enabled: bool = True, parent: "Run | None" = None
    ) -> "Run":
        """The handle of a run that another process records, whose `opening.run_id` is known.

        Runs can be listed under it, and `reopen` takes it.
        """
        run = cls(opening, folder, enabled=enabled, parent=parent, patient=True, reopened=True)
        run._run_id = opening.run_id
        return run

    def is_recorded_as(self, run_id: str) -> None:
        """Notes the id of a run that another handle has created, so that runs can be listed under this one."""
        self._run_id = run_id or None
        self.opening = replace(self.opening, run_id=self._run_id)

    # The beginning --------------------------------------------------------------------------------------------

    def create(self) -> None:
        """Lets the store create the run, which is on disk from now on."""
        if self.enabled and not self._ending:
            self._outbox.begin(self.replay_opening())
        self._may_be_created = True

    def discard(self) -> None:
        """Ends a run that the store has not created, without a trace: the command was rejected."""
        if not self.opening.repeats:
            self._forget()
        self.enabled = False
        self._outbox.close(lambda rest: self._reopened)
        self._ended.set()
        self.wake.set()

    def await_server(self) -> None:
        """Waits until a tracking server has answered, or is known not to answer, at most 10 s; not for a database.

        Raises TrackingError for an address that is wrong, and for a login that is refused.
        """
        if self.enabled and is_server(self.opening.uri):
            self.tried.wait(ANSWER_SECONDS)
        self.check(wait=False)

    # Logging: returns at once ---------------------------------------------------------------------------------

    def log_metrics(self, metrics: Mapping[str, float], *, step: int) -> None:
        """Logs values by name at a step, with the time of this call. The UI shows steps from 1 on as curves."""
        now = int(time.time() * 1000)
        self._put(messages.Batch(metrics=tuple((name, float(value), now, step) for name, value in metrics.items())))

    def log_summary(self, values: Mapping[str, float]) -> None:
        """Logs values that are known once, named as `summaries` says: the UI shows them as bars, after the curves."""
        self.log_metrics({recorded_name(name): value for name, value in values.items()}, step=0)

    def log_params(self, params: Mapping[str, object]) -> None:
        """Logs parameters by dotted path. `layers[3].conv` becomes `layers.3.conv`, as MLflow allows no brackets."""
        pairs = ((_plain(name), without_secrets(str(value))) for name, value in params.items())
        self._put(messages.Batch(params=tuple(pairs)))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Sets tags by name; a repeated name overwrites the earlier value."""
        self._put(messages.Batch(tags=tuple((name, without_secrets(text)) for name, text in tags.items())))

    def tag_run(self, name: str, other: "Run") -> None:
        """Sets a tag to the id of another run, even if the store creates that run later."""
        self._put(messages.RunTag(name, other.replay_opening()))

    def log_text(self, text: str, path: str) -> None:
        """Logs a text as an artifact at `path`, without passwords in URLs."""
        self._put(messages.Text(path, without_secrets(text)))

    def log_artifact(self, local: Path, folder: str = "") -> None:
        """Logs a local file as an artifact in `folder`. The file must exist until the run ends."""
        self._put(messages.File(str(local.absolute()), folder))

    def log_figure(self, path: str, make: Callable[[], bytes]) -> None:
        """Logs a file at `path`, also of the run's folder, whose content the writer thread makes by calling `make`."""
        self._put(messages.Figure(path, str(self.folder / path), make))

    def log_input(self, facts: DatasetFacts) -> None:
        """Logs the data set, once per split, so that runs can be found by it."""
        self._put(messages.Input(facts))

    def log_model(self, folder: Path) -> None:
        """Logs the model that `runner.serving.save_model` wrote to `folder`, under the name of the run.

        It carries the parameters and metrics that were logged before.
        """
        self._put(messages.Model(str(folder.absolute())))

    def register(self, name: str, alias: str) -> None:
        """Makes the logged model a version of a registered model, which gets the alias."""
        self._put(messages.Registration(name, alias))

    def _put(self, message: Message) -> None:
        if not self.enabled or self._ending:
            return
        self._outbox.put(message)

    # Waiting --------------------------------------------------------------------------------------------------

    def check(self, *, wait: bool = True) -> None:
        """Waits until the store has created the run, unless `wait` is False.

        Raises TrackingError if it is known that the store cannot be opened.
        """
        if self.enabled and wait:
            self._begun.wait()
        if self._fault is not None:
            raise self._fault

    @property
    def run_id(self) -> str:
        """MLflow's id of the run; empty if tracking is off. Waits and raises as `check` does."""
        self.check()
        return self._run_id or ""

    @property
    def known_id(self) -> str:
        """MLflow's id of the run; empty if it is not known yet. Never waits."""
        return self._run_id or ""

    @property
    def url(self) -> str | None:
        """The URL of the run on a tracking server; None for a database, or before the run is created."""
        if self._run_id is None or not self.opening.uri.startswith("http"):
            return None
        address = without_secrets(self.opening.uri).replace("***@", "").rstrip("/")
        return run_link(address, self.experiment_id, self._run_id)

    def end(self, status: Status) -> None:
        """Queues the end of the run and returns at once; call `wait` afterwards."""
        if not self.enabled or self._ending:
            return
        self._put(messages.End(status, int(time.time() * 1000)))
        self._ending = True
        self.wake.set()

    def finish(self, status: Status, report: Callable[[str], None] = _silent) -> None:
        """Ends the run and waits until its messages are delivered; see `wait`."""
        self.end(status)
        self.wait(report)

    def wait(self, report: Callable[[str], None] = _silent) -> None:
        """Waits until the last messages of an ended run are delivered. Never raises errors of the store.

        If the store does not answer, waits at most 15 s, and not at all if another run has already waited so long.
        Undelivered messages are then written to `untracked.jsonl` in the run's folder.
        `report` is called with what is being done, such as `sending the model to MLflow`.
        """
        if not self._ending:
            return
        began = answered = time.monotonic()
        try:
            while not self._ended.wait(0.05):
                now = time.monotonic()
                if not self.away.is_set():
                    answered = now
                limit = 0.0 if self.timed_out.is_set() else AWAY_SECONDS
                if now - answered > limit or now - began > _BUSY_SECONDS:
                    self.timed_out.set()
                    break
                report(self._activity(limit - (now - answered)))
        finally:
            # Also after an interrupt, so that no measurements are lost.
            self._ended.set()
            self._close()
            if self.parent is None:
                self._forget()
                self._warn_of_untracked()
            else:
                self.parent._has_untracked |= self._has_untracked

    def _activity(self, seconds: float) -> str:
        if self.away.is_set():
            return f"waiting {seconds:.0f} s for {without_secrets(self.opening.uri)}, which does not answer"
        return self._outbox.activity if self._run_id is not None else "opening the MLflow store"

    def _close(self) -> None:
        left, is_complete = self._outbox.close(self._is_kept)
        if not is_complete:
            uri = without_secrets(self.opening.uri)
            _log.warning("%s did not accept everything, and the rest is lost: %s", uri, self.unkept)
        self._has_untracked |= left > 0 and is_complete

    def _is_kept(self, rest: list[Message]) -> bool:
        """Whether what the store has not accepted is kept: not if it refused the run before anything was measured."""
        if self._reopened or self.begun or self.patient:
            return True
        batches = [item for item in rest if isinstance(item, messages.Batch)]
        measured = any(step > 0 for batch in batches for *_, step in batch.metrics)  # step 0: costs, known before
        return measured or (self.away.is_set() and self._fault is None)

    @property
    def unkept(self) -> str:
        """Why what the store does not accept cannot be written to the run's folder; empty if it can."""
        return f"{self._outbox.file.path}: {fault}" if (fault := self._outbox.file.fault) else ""

    def _forget(self) -> None:
        """Removes the note that the run has begun: from now on it is found in the store, or by what is undelivered."""
        begun.forget(self.opening.uri, self.opening.identity)

    def replay_opening(self) -> Opening:
        """The opening of this run for files that are sent later, with that of its parent."""
        uri, process = without_secrets(self.opening.uri), Process.here().text
        opening = replace(self.opening, uri=uri, run_id=self._run_id or self.opening.run_id, process=process)
        return opening if self.parent is None else replace(opening, parent=self.parent.replay_opening())

    def _warn_of_untracked(self) -> None:
        if self._has_untracked:
            # The files of a sweep's members are in folders below.
            uri, folder = without_secrets(self.opening.uri), folders.short(self.folder)
            how = "python -m runner sync" + ("" if folder.is_relative_to("outputs") else f" folder={folder}")
            _log.warning("%s did not accept everything; the rest is in %s. Send it with: %s", uri, folder, how)

    # Called by the writer -------------------------------------------------------------------------------------

    def advance(self, store: Store) -> None:
        """Creates the run and delivers its queue. Raises the store's error if it does not answer."""
        if self._run_id is None:
            if not self._may_be_created:
                return
            try:
                if not self._has_parent():
                    return
                self.experiment_id, self._run_id = store.begin(self.opening, seek=self._may_exist)
            except Exception as error:
                if not store.is_refusal(error):
                    self._may_exist = True  # the store may have created the run, and its answer was lost
                    raise
                self.give_up(error)
                return
            self._outbox.created(self._run_id)
            self.away.clear()
            if self.parent is None:
                self._forget()
        self._begun.set()
        while not self.ended and (message := self._outbox.head()) is not None:
            try:
                store.deliver(self.experiment_id or "", self._run_id, message)
            except Exception as error:
                if not store.is_refusal(error):
                    raise
                if self._outbox.refused():
                    _log.warning("MLflow refused a %s: %s", type(message).__name__.lower(), reason(error))
            else:
                self._outbox.delivered()
            self.away.clear()
            if isinstance(message, messages.End):
                self._ended.set()

    def _has_parent(self) -> bool:
        """Whether the run can be created: a parent must be created first, and its id becomes a tag of the child."""
        if self.parent is None or "mlflow.parentRunId" in self.opening.tags:
            return True
        if self.parent._fault is not None:
            raise self.parent._fault
        if self.parent._run_id is None:
            return False
        tags = self.opening.tags | {"mlflow.parentRunId": self.parent._run_id}
        self.opening = replace(self.opening, tags=tags)
        return True

    def give_up(self, error: Exception) -> None:
        """Marks the run as failed: it could not be created."""
        self._fault = not_opened(self.opening.uri, error)
        self._begun.set()
        self._ended.set()

    def abandon(self) -> None:
        """Lets nobody wait any more: the writer has ended, and what is left stays on disk."""
        self.away.set()
        self.timed_out.set()
        self._begun.set()

    @property
    def begun(self) -> bool:
        """Whether the store has created the run, so that `run_id` does not wait."""
        return self._run_id is not None

    @property
    def ended(self) -> bool:
        """Whether nothing more will be delivered; always true if tracking is off."""
        return self._ended.is_set() or not self.enabled


def _plain(name: str) -> str:
    """The path of a parameter with `[3]` as `.3`, and `_` for other characters that MLflow does not allow."""
    return re.sub(r"[^\w\-./ :]", "_", re.sub(r"\[(\w+)\]", r".\1", name))[:_NAME_CHARACTERS]
