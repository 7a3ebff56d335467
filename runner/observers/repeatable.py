"""Records what it takes to repeat a training, and to tell whether its repetition is equal.

Each run has `reproduce.json`: its circumstances and metrics. A single run, or a sweep as a whole, also has the diff of
the code to its commit, and the user's own configurations.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from runner import circumstances, describe, endings, repeating, tracking
from runner.observers.recorder import Recorder
from runner.repeating import Record
from runner.shipped import configurations
from runner.trained import Trained
from runner.training.member import Member
from runner.training.observer import Observer
from runner.training.outcome import Outcome
from runner.training.plan import Plan
from runner.withheld import withheld

CHANGES: Final = "changes.diff"
OWN: Final = "own_configurations.yaml"
_OWN_BYTES: Final = 1_000_000


class Repeatable(Observer):
    """Comes before the recorder, whose runs it adds to.

    git is asked in a thread, while the data are read.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        asking = ThreadPoolExecutor(1, thread_name_prefix="git")
        self._code = asking.submit(circumstances.changes, Path.cwd())
        asking.shutdown(wait=False)
        self._records: dict[int, Record] = {}
        self._lowerings: dict[str, tuple[str, ...]] = {}  # by compiled program
        self._told = False
        self._lock = threading.Lock()

    def begins(self, member: Member, plan: Plan) -> None:
        now = circumstances.here(
            device=str(plan.placement),
            lowerings=self._lowerings_of(plan),
            data=plan.dataset.digest,
            code=self._code.result(),
        )
        record = Record(member.title, time.time(), circumstances=now)
        with self._lock:
            self._records[member.number] = record
            tells, self._told = not self._told, True
        with endings.warn_on_file_errors(repeating.RECORD):
            repeating.write(member.context.folder, record)
        recorded = self._recorder.parent or self._recorder.run_of(member.number)
        if tells and recorded is not None:
            _, diff = self._code.result()
            _record_texts(recorded, diff)

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        with self._lock:
            record = self._records.pop(member.number, None)
        recorded = self._recorder.run_of(member.number)
        if record is None or recorded is None:
            return
        with endings.warn_on_file_errors(repeating.RECORD):
            record = replace(record, status=outcome.status, history=outcome.history, once=outcome.once)
            recorded.log_artifact(repeating.write(member.context.folder, record))

    def _lowerings_of(self, plan: Plan) -> tuple[str, ...]:
        with self._lock:
            if plan.group not in self._lowerings:
                found = describe.lowerings(plan.experiment, plan.program.network)
                self._lowerings[plan.group] = tuple(filter(None, found))
            return self._lowerings[plan.group]


def _record_texts(recorded: tracking.Run, diff: str) -> None:
    """The diff of the code in the current folder, and the configurations that the user has there."""
    if diff:
        recorded.log_text(withheld(diff), f"reproduce/{CHANGES}")
    if own := _own_configurations(Path.cwd() / "conf"):
        recorded.log_text(withheld(own), f"reproduce/{OWN}")


def _own_configurations(folder: Path) -> str:
    """All files of the user's own `conf/` in one text, each after a line with its name; 1 MB at most."""
    if not folder.is_dir() or folder.resolve() == configurations():
        return ""
    texts, size = [], 0
    for path in sorted(folder.rglob("*.yaml")):
        with suppress(OSError):
            size += path.stat().st_size
            if size > _OWN_BYTES:
                texts.append(f"# the other files are left out, after {_OWN_BYTES} bytes\n")
                break
            texts.append(f"# {path.relative_to(folder.parent)}\n{path.read_text(encoding='utf-8', errors='replace')}\n")
    return "---\n".join(texts)
