"""The thread that writes what the runs of one store say, and the door through which runs come to it.

The thread imports MLflow and opens the store while the caller goes on, retries with growing pauses while the store
is away, and ends with the last of its runs.
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

from runner.tracking.faults import reason
from runner.tracking.messages import Opening
from runner.tracking.run import Run
from runner.tracking.settings import Tracking, absolute_uri, without_secrets
from runner.tracking.store import Store

_log = logging.getLogger(__name__)
# A call costs some 10 ms of processor time: at one a second, about a hundredth of a core.
_GATHER_SECONDS = 1.0
_RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0)


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
) -> Run:
    """A new run, at once: the store is opened and the run made in the background.

    `folder` is where figures and what could not be delivered are written. The user's own tags and run name, in
    `tracking`, take precedence over the ones given. A run with a `parent`, which was started before, is listed under
    it. `run_id` names a run that is there already, to go on with. A `patient` run, as the children of one are, does
    not fail where the store cannot be opened: it waits for the store, and keeps what it says in `untracked.jsonl`.
    """
    every_tag = _source_tags() | dict(tags) | dict(tracking.tags)
    opening = Opening(
        uri=absolute_uri(tracking.uri),
        experiment=tracking.experiment,
        run_name=run_name if parent else tracking.run_name or run_name,
        tags={name: without_secrets(text) for name, text in every_tag.items()},
        started_ms=int(time.time() * 1000),
        run_id=run_id,
        identity=uuid.uuid4().hex,
    )
    patient = parent.patient if parent else patient
    run = Run(opening, folder, figures=tracking.figures, enabled=tracking.enabled, parent=parent, patient=patient)
    run.log_params(params)
    if tracking.enabled:
        Writer.take(run)
    return run


def _source_tags() -> dict[str, str]:
    """MLflow's own tags for where a run comes from."""
    tags = {"mlflow.source.type": "LOCAL", "mlflow.source.name": " ".join(["runner", *sys.argv[1:]])}
    with suppress(OSError, KeyError):  # a user id without a name
        tags["mlflow.user"] = getpass.getuser()
    commit = _commit(Path.cwd())
    return tags | ({"mlflow.source.git.commit": commit} if commit else {})


@functools.lru_cache(maxsize=1)
def _commit(folder: Path) -> str:
    """The commit of a folder when it is first asked for, with `-dirty` if changed; empty where there is none."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""  # no git, or no checkout


def reopen(run: Run) -> Run:
    """A run that has ended, to say more of it."""
    opening = replace(run.opening, run_id=run.known_id or None)
    again = Run(
        opening,
        run.folder,
        figures=run.figures,
        enabled=run.enabled,
        parent=run.parent,
        patient=run.patient,
        again=True,
    )
    if run.enabled:
        Writer.take(again)
    return again


class Writer(threading.Thread):
    """Writes the runs of one store; ends with the last of them."""

    _writers: "dict[str, Writer]" = {}  # noqa: RUF012 - one per store in this process, guarded by the lock
    _guard = threading.Lock()

    def __init__(self, uri: str) -> None:
        # A daemon: a store that never answers must not keep the process alive.
        super().__init__(name="tracking", daemon=True)
        self.uri = uri
        self.runs: list[Run] = []
        self.hurry, self.away, self.spent = threading.Event(), threading.Event(), threading.Event()

    @classmethod
    def take(cls, run: Run) -> None:
        """Hands a run to the writer of its store."""
        uri = run.opening.uri
        with cls._guard:
            writer = cls._writers.get(uri)
            if writer is None:
                writer = cls._writers[uri] = cls(uri)
                writer.start()
            run.hurry, run.away, run.spent = writer.hurry, writer.away, writer.spent
            writer.runs.append(run)

    def run(self) -> None:
        """The thread's life."""
        store: Store | None = None
        failures = 0
        while self._has_runs():
            try:
                store = store or Store(self.uri)
                for run in list(self.runs):
                    run.advance(store)
            except Exception as error:  # noqa: BLE001 - MLflow, database drivers and the network share no base
                failures += 1
                if store is None:
                    for run in list(self.runs):
                        if not run.patient:
                            run.give_up(error)
                self._is_away(failures, error)
            else:
                if not self.away.is_set():  # which a run that delivers something clears
                    failures = 0
                    self.spent.clear()
            # A run that ends does not wait for others to gather.
            self.hurry.wait(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS)) - 1] if failures else _GATHER_SECONDS)
            self.hurry.clear()

    def _is_away(self, failures: int, error: Exception) -> None:
        if failures == 1 and any(not run.ended for run in self.runs):
            uri = without_secrets(self.uri)
            _log.warning("%s does not answer (%s); training goes on, and what it says is kept", uri, reason(error))
        self.away.set()

    def _has_runs(self) -> bool:
        with self._guard:
            self.runs = [run for run in self.runs if not run.ended]
            if not self.runs:
                del self._writers[self.uri]
            return bool(self.runs)
