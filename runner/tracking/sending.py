"""Sends what stores did not accept while runs were recorded, from the files `untracked.jsonl` in their folders.

    >>> for sent in send(Path("outputs")): print(sent.name, sent.points, sent.fault)

Each run is sent once: a file is locked while its messages are sent, each is marked in it as soon as the store has
accepted it, and the file is deleted after the last. A run that is still being recorded is left to its process.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from runner.errors import ConfigError, TrackingError, must
from runner.processes import Process
from runner.tracking import messages
from runner.tracking.faults import not_opened, reason
from runner.tracking.listing import GONE
from runner.tracking.messages import Batch, End, File, Message, Model, Text
from runner.tracking.settings import absolute_uri, without_secrets
from runner.tracking.store import Store
from runner.tracking.untracked import EVERY, UNTRACKED, BusyError, Content, Journal

_log = logging.getLogger(__name__)
_HIDDEN: Final = "***"


@dataclass(frozen=True)
class Delivery:
    """What was sent of one run: metric points, and files with texts and models.

    `fault` says in one line why there is a rest; it is empty if all was sent. `is_busy`: its process sends it.
    """

    folder: Path
    store: str = ""
    run_id: str = ""
    name: str = ""
    points: int = 0
    files: int = 0
    is_busy: bool = False
    fault: str = ""


def send(folder: Path, uri: str | None = None, own: Callable[[], str] = lambda: "") -> Iterator[Delivery]:
    """Sends all runs in a folder and the folders below it, each in the order in which it was recorded.

    Each goes to the store that it names, or to `uri`. `own` says the user's own store, whose address may have the
    password that a file leaves out. A member of a sweep is listed under the run of the sweep.
    Raises ConfigError if there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(must("folder", "be a folder with the output of runs", str(folder)))
    stores = _Stores(uri, own)
    # The run of a sweep comes before its members.
    for file in sorted(folder.rglob(EVERY), key=lambda file: (len(file.parts), file)):
        with ExitStack() as stack:
            try:
                for above in _above(file):
                    with suppress(ConfigError):  # it is said for that file itself
                        stack.callback(Journal.take(above)[0].close, keep=True)
                if _is_empty(file):
                    continue
                journal, content = Journal.take(file)
            except BusyError:
                yield Delivery(file.parent, is_busy=True)
                continue
            except ConfigError as error:
                if file.is_file():  # else another process has sent it meanwhile
                    yield Delivery(file.parent, fault=str(error))
                continue
            found = _Sending(journal, content)
            try:
                found.send(stores)
            finally:
                journal.close(keep=not found.is_done)
            yield found.delivery


def _above(file: Path) -> list[Path]:
    """The files of runs above, such as that of the sweep: locked, so that only one process creates their runs."""
    above = (folder / UNTRACKED for folder in file.absolute().parent.parents)
    return [path for path in above if path.is_file()]


def _is_empty(file: Path) -> bool:
    """Whether a process was killed as it made the file; also if another process has sent and deleted it."""
    try:
        return file.stat().st_size == 0
    except OSError:
        return True


class _Stores:
    """The stores that were opened, by address; one that does not answer is not asked again."""

    def __init__(self, uri: str | None, own: Callable[[], str]) -> None:
        self._uri, self._own = uri, own
        self._open: dict[str, Store | TrackingError] = {}

    def of(self, uri: str) -> Store:
        """The store for runs that name `uri`. Raises TrackingError, and ConfigError if its password is not known."""
        address = absolute_uri(self._uri or self._whole(uri))
        if address not in self._open:
            try:
                self._open[address] = Store(address)
            except Exception as error:  # noqa: BLE001 - MLflow, database drivers and the network share no base
                self._open[address] = not_opened(address, error)
        found = self._open[address]
        if isinstance(found, TrackingError):
            raise found
        return found

    def close(self, store: Store, error: Exception) -> None:
        """Asks a store no more, which has failed."""
        self._open[store.uri] = not_opened(store.uri, error)

    def _whole(self, uri: str) -> str:
        if _HIDDEN not in uri:
            return uri
        own = absolute_uri(self._own())
        if without_secrets(own) != uri:
            raise ConfigError(must("tracking.uri", "be given, as its password is not recorded", uri))
        return own


class _Sending:
    """Sends one file."""

    def __init__(self, journal: Journal, content: Content) -> None:
        self._journal, self._content = journal, content
        opening = content.opening
        self.delivery = Delivery(journal.path.parent, opening.uri, opening.run_id or "", opening.run_name)
        self.is_done = False
        self._heard = journal.path.stat().st_mtime

    def send(self, stores: _Stores) -> None:
        """Sends the messages, and says in `delivery` what came of it."""
        try:
            store = stores.of(self._content.opening.uri)
        except (ConfigError, TrackingError) as error:
            self._note(fault=str(error))
            return
        self._note(store=without_secrets(store.uri))
        try:
            self.is_done = self._deliver(store)
        except Exception as error:  # noqa: BLE001 - MLflow, database drivers and the network share no base
            if not store.is_refusal(error):
                stores.close(store, error)
            self._note(fault=f"{without_secrets(store.uri)}: {reason(error)}")

    def _deliver(self, store: Store) -> bool:
        """Sends all messages in their order. Returns whether the store has accepted each."""
        opening = self._content.opening
        if opening.run_id is None:
            with _alone(self._journal.path.absolute().parent.parent):  # the run of a sweep is created with a member
                experiment_id, run_id = store.begin(opening, seek=True)
            self._journal.created(run_id)
        else:
            info = store.client.get_run(opening.run_id).info
            experiment_id, run_id = str(info.experiment_id), opening.run_id
            if info.lifecycle_stage == "deleted":
                _log.warning("%s: run %s was deleted, so nothing is sent", self.delivery.folder, run_id)
                return True
            if opening.repeats:  # an earlier process has recorded some of it, at other times
                store.look_up(run_id)
        self._note(run_id=run_id)
        refused = ""
        for numbers, message in _joined(self._content.left):
            if outside := self._outside(message):
                refused = refused or f"must be a file of the run's folder, got {outside}"
                continue
            try:
                store.deliver(experiment_id, run_id, message)
            except Exception as error:
                if not store.is_refusal(error):
                    raise
                refused = refused or f"MLflow refused a {type(message).__name__.lower()}: {reason(error)}"
            else:
                self._journal.sent(numbers)
                self._count(message)
        if not self._content.ended and self._is_gone():
            _end(store, experiment_id, run_id, self._content.left)
        self._note(fault=refused)
        return not refused

    def _outside(self, message: Message) -> str:
        """The file of a message that is not in the folder of the run; such a folder was written by somebody else."""
        path = message.local if isinstance(message, File) else message.folder if isinstance(message, Model) else ""
        return path if path and not Path(path).resolve().is_relative_to(self.delivery.folder.resolve()) else ""

    def _is_gone(self) -> bool:
        """Whether the process that recorded the run is known to have ended."""
        try:
            return Process.from_text(self._content.opening.process).has_ended(self._heard)
        except (ValueError, TypeError):
            return False

    def _count(self, message: Message) -> None:
        match message:
            case Batch(metrics):
                self._note(points=self.delivery.points + len(metrics))
            case Text() | File() | Model():
                self._note(files=self.delivery.files + 1)

    def _note(self, **changes: Any) -> None:
        self.delivery = replace(self.delivery, **changes)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits until no other process is in this block for a folder."""
    with ExitStack() as stack:
        with suppress(OSError):  # a file system without locks
            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _joined(left: dict[int, Message]) -> Iterator[tuple[list[int], Message]]:
    """The messages with their numbers; consecutive batches of metrics are joined: a store takes thousands at once."""
    numbers: list[int] = []
    batches: list[Batch] = []
    for number, message in left.items():
        if isinstance(message, Batch) and not message.params and not message.tags:
            numbers.append(number)
            batches.append(message)
            continue
        if batches:
            yield numbers, messages.joined(batches)
            numbers, batches = [], []
        yield [number], message
    if batches:
        yield numbers, messages.joined(batches)


def _end(store: Store, experiment_id: str, run_id: str, left: dict[int, Message]) -> None:
    """Ends the run of a process that was killed, at the time of the last value that is known."""
    if store.client.get_run(run_id).info.status != "RUNNING":
        return
    times = [when for message in left.values() if isinstance(message, Batch) for _, _, when, _ in message.metrics]
    store.client.set_tag(run_id, "end_reason", GONE)
    store.deliver(experiment_id, run_id, End("KILLED", max(times, default=int(time.time() * 1000))))
