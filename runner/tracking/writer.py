"""Starts runs, and the writer thread that sends the messages of all runs of one store.

The thread imports MLflow and opens the store while the caller continues. While the store does not answer, it retries
with growing pauses. It ends with the last of its runs.
"""

import functools
import getpass
import logging
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from runner import folders
from runner.tracking import untracked
from runner.tracking.faults import reason
from runner.tracking.messages import Opening
from runner.tracking.reaching import UnreachableError, is_server
from runner.tracking.run import Run
from runner.tracking.settings import Tracking, absolute_uri, without_secrets
from runner.tracking.store import FOLDER, Store

_log = logging.getLogger(__name__)
# A call costs about 10 ms of processor time, so one call a second uses one per cent of a core.
_GATHER_SECONDS = 1.0
RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0)


def start(
    tracking: Tracking,
    *,
    run_name: str,
    tags: Mapping[str, str],
    params: Mapping[str, object],
    folder: Path,
    parent: Run | None = None,
    run_id: str | None = None,
    patient: bool = False,
    held: bool = False,
    continues: bool = False,
    identity: str = "",
    repeats: bool = False,
) -> Run:
    """Starts a run and returns at once; the store is opened and the run created in the background.

    Figures and undelivered messages are written to `folder`. The user's tags and run name in `tracking` take precedence
    over the arguments. A run is listed under its `parent`, which must be started before. `run_id` continues an existing
    run; `continues` does so with the run that an earlier process has left in `folder`, if it has left one. A `held` run
    is created by `Run.create`, so that a command that is rejected leaves nothing in the store. With `repeats`, the run
    of this `identity` is continued if the store has it, and of what is recorded again, what it has is not sent.

    A run whose server does not answer waits for it, and its messages stay in `untracked.jsonl`. A `patient` run and its
    children also wait for a database that cannot be opened.
    """
    left = _left(tracking, folder, run_id, continues=continues)
    every_tag = _source_tags() | {FOLDER: str(folder.absolute())} | dict(tags) | dict(tracking.tags)
    opening = Opening(
        uri=absolute_uri(tracking.uri),
        experiment=tracking.experiment,
        run_name=run_name if parent else tracking.run_name or run_name,
        tags={name: without_secrets(text) for name, text in every_tag.items()},
        started_ms=left.started_ms if left else int(time.time() * 1000),
        run_id=run_id or (left.run_id if left else None),
        identity=identity or (left.identity if left else uuid.uuid4().hex),
        repeats=repeats,
    )
    run = Run(
        opening,
        folder,
        enabled=tracking.enabled,
        parent=parent,
        patient=parent.patient if parent else patient,
        reopened=repeats or left is not None,
    )
    if not held:
        run.create()
    run.log_params(params)
    if tracking.enabled:
        Writer.take(run)
    return run


def _left(tracking: Tracking, folder: Path, run_id: str | None, *, continues: bool) -> Opening | None:
    """The run that an earlier process has left in a folder, if it is to be continued."""
    left = untracked.earlier(folder / untracked.UNTRACKED) if tracking.enabled else None
    if left is None or left.uri != without_secrets(absolute_uri(tracking.uri)):
        return None
    is_same = left.run_id == run_id if left.run_id and run_id else continues
    return left if is_same else None


def _source_tags() -> dict[str, str]:
    """MLflow's tags for the source of a run."""
    tags = {"mlflow.source.type": "LOCAL", "mlflow.source.name": " ".join(["runner", *sys.argv[1:]])}
    with suppress(OSError, KeyError):  # a user id without a name
        tags["mlflow.user"] = getpass.getuser()
    commit = _commit(Path.cwd())
    return tags | ({"mlflow.source.git.commit": commit} if commit else {})


@functools.lru_cache(maxsize=1)
def _commit(folder: Path) -> str:
    """The git commit of a folder at the first call, with `-dirty` if files changed; empty if there is none."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""  # no git, or not a checkout


def reopen(run: Run) -> Run:
    """Opens an ended run again, to log more."""
    opening = replace(run.opening, run_id=run.known_id or None)
    reopened = Run(
        opening,
        run.folder,
        enabled=run.enabled,
        parent=run.parent,
        patient=run.patient,
        reopened=True,
    )
    reopened.create()
    if run.enabled:
        Writer.take(reopened)
    return reopened


class Writer(threading.Thread):
    """The thread that writes the runs of one store; it ends with the last of them."""

    _writers: "dict[str, Writer]" = {}  # noqa: RUF012 - one per store in this process, guarded by the lock
    _guard = threading.Lock()

    def __init__(self, uri: str) -> None:
        # A daemon: a store that never answers must not keep the process alive.
        super().__init__(name="tracking", daemon=True)
        self.uri = uri
        self.runs: list[Run] = []
        self.wake, self.away, self.timed_out = threading.Event(), threading.Event(), threading.Event()
        self.tried = threading.Event()

    @classmethod
    def take(cls, run: Run) -> None:
        """Adds a run to the writer of its store."""
        uri = run.opening.uri
        with cls._guard:
            writer = cls._writers.get(uri)
            if writer is None:
                writer = cls._writers[uri] = cls(uri)
                writer.start()
            run.wake, run.away, run.timed_out = writer.wake, writer.away, writer.timed_out
            run.tried = writer.tried
            writer.runs.append(run)

    def run(self) -> None:
        """Delivers messages until all runs have ended."""
        try:
            self._deliver()
        finally:
            # Also if a library ends the thread: Rich raises SystemExit where nobody reads what it prints any more.
            with self._guard:
                if self._writers.get(self.uri) is self:
                    del self._writers[self.uri]
                left, self.runs = self.runs, []
            for run in left:
                run.abandon()

    def _deliver(self) -> None:
        store: Store | None = None
        failures = 0
        while self._has_runs():
            try:
                store = store or Store(self.uri)
                for run in list(self.runs):
                    run.advance(store)
            except Exception as error:  # noqa: BLE001 - MLflow, database drivers and the network share no base
                failures += 1
                if store is None and not isinstance(error, UnreachableError):
                    for run in list(self.runs):
                        if not run.patient or is_server(self.uri):
                            run.give_up(error)
                self._is_away(failures, error)
            else:
                if not self.away.is_set():  # a run clears it when it has delivered a message
                    failures = 0
                    self.timed_out.clear()
            self.tried.set()
            # A run that ends sets `wake`, so that it need not wait.
            self.wake.wait(RETRY_SECONDS[min(failures, len(RETRY_SECONDS)) - 1] if failures else _GATHER_SECONDS)
            self.wake.clear()

    def _is_away(self, failures: int, error: Exception) -> None:
        if failures == 1 and (waiting := [run for run in self.runs if not run.ended]):
            uri, folder = without_secrets(self.uri), folders.short(waiting[0].folder)
            kept = f", and everything is kept in {folder}"
            if waiting[0].unkept:
                kept = f"; what it does not accept before the end is lost ({waiting[0].unkept})"
            _log.warning("%s does not answer (%s); training goes on%s", uri, reason(error), kept)
        self.away.set()

    def _has_runs(self) -> bool:
        with self._guard:
            self.runs = [run for run in self.runs if not run.ended]
            if not self.runs:
                del self._writers[self.uri]
            return bool(self.runs)
