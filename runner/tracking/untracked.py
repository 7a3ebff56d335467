"""The file `untracked.jsonl` in the folder of a run: what its store has not accepted yet, written as it happens.

    >>> file = Journal(folder / UNTRACKED)
    >>> left = file.begin(opening)                                   # of an earlier process that recorded this run
    >>> number = file.add(messages.Text("describe.txt", "a table"))
    >>> file.sent([number])                                          # by the store
    >>> file.close(keep=False)

The file begins with the opening of the run. Messages follow, which count from 0, and marks: `Created` when the store
has the run, `Sent` when it has accepted messages. So a process can be killed at any moment, and no message is lost. The
process that records a run, or sends its file, holds a lock on the file.
"""

import errno
import fcntl
import hashlib
import os
import resource
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from runner import folders
from runner.errors import ConfigError, must
from runner.processes import Process
from runner.tracking import messages
from runner.tracking.faults import reason
from runner.tracking.messages import Message, Opening
from runner.tracking.settings import without_secrets

UNTRACKED: Final = "untracked.jsonl"
EVERY: Final = "untracked*.jsonl"  # the files of runs whose folder another run has used later, too
_FILES: Final = 16384  # a member of a sweep has a file open while it trains, and thousands may train together


class BusyError(Exception):
    """Another process records the run, or sends its file."""


@dataclass(frozen=True)
class Content:
    """What a file says. `opening` has the id of the run if the store has created it.

    `left` are the messages that were not sent, by number; `count` are all messages. `ended` tells whether the process
    has ended the run. `size_bytes` are its whole lines: the last may be cut short, if the process was killed.
    """

    opening: Opening
    left: dict[int, Message]
    count: int
    ended: bool
    size_bytes: int


class Journal:
    """The file of one run, open and locked. Any thread may use it.

    If the disk is full, lines wait in memory until they can be written; `fault` says why they cannot.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.fault = path, ""
        self._file: int | None = None
        self._waiting: list[str] = []
        self._identity = ""
        self._count = 0
        self._lock = threading.Lock()

    def begin(self, opening: Opening) -> dict[int, Message]:
        """Makes the file. Returns the messages that an earlier process of this run has left in it, by number.

        The file of another run that used this folder gets another name.
        """
        _allow_files()
        with self._lock:
            self._identity = opening.identity
            left: dict[int, Message] = {}
            with suppress(OSError, BusyError):
                if (content := self._open()) is not None:
                    left, self._count = content.left, content.count
            self._write([opening])
            return left

    @classmethod
    def take(cls, path: Path) -> tuple["Journal", Content]:
        """Locks a file whose messages are to be sent, and reads it.

        Raises BusyError if its run is being recorded, or sent by another process, and ConfigError for another file.
        """
        journal = cls(path)
        try:
            journal._file = _locked(path)
        except OSError as error:
            raise _unfit(path, error.strerror or str(error)) from None
        try:
            content = _read(journal._file, path)
            if not content.ended and _is_recorded(content.opening):
                raise BusyError(str(path))  # on a file system without locks
        except BaseException:
            os.close(journal._file)
            raise
        journal._count, journal._identity = content.count, content.opening.identity
        return journal, content

    def add(self, message: Message) -> int:
        """Writes a message; a figure must be drawn before. Returns its number."""
        with self._lock:
            number, self._count = self._count, self._count + 1
            self._write([_portable(message, self.path.parent)])
            return number

    def created(self, run_id: str) -> None:
        """Notes that the store has created the run."""
        with self._lock:
            self._write([messages.Created(run_id)])

    def sent(self, numbers: Iterable[int]) -> None:
        """Notes that the store has accepted messages."""
        if found := tuple(numbers):
            with self._lock:
                self._write([messages.Sent(found)])

    def close(self, *, keep: bool) -> bool:
        """Ends the lock. With `keep` the file stays, else it is deleted.

        Returns whether the file has all that it was given; `fault` says why not.
        """
        with self._lock:
            if keep and self._waiting:
                self._write([])
            if self._file is not None and not keep and _is_at(self._file, self.path):
                self.path.unlink()
            self._close()
            complete = not self._waiting
            self._waiting = []
            return complete

    def _open(self) -> Content | None:
        """Opens the file. Returns what an earlier process of this run wrote, if there is anything."""
        while True:
            descriptor = _locked(self.path, os.O_CREAT)
            try:
                content = _read(descriptor, self.path) if os.fstat(descriptor).st_size else None
                if content is None or content.opening.identity == self._identity:
                    os.ftruncate(descriptor, content.size_bytes if content else 0)
                    self._file = descriptor
                    return content
                of = hashlib.sha256(content.opening.identity.encode()).hexdigest()[:12]
                self.path.rename(self.path.with_name(f"untracked-{of}.jsonl"))
            except ConfigError as error:  # another kind of file
                os.close(descriptor)
                raise OSError(errno.EEXIST, str(error)) from error
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _write(self, items: Iterable[Opening | Message | messages.Mark]) -> None:
        """Appends lines, those that wait first. What cannot be written waits."""
        self._waiting += [messages.to_line(item) + "\n" for item in items]
        try:
            if self._file is None and self._open() is not None:
                self._close()
                raise BusyError(str(self.path))  # which has numbered its messages
            assert self._file is not None
            before = os.fstat(self._file).st_size
            try:
                _write_whole(self._file, "".join(self._waiting).encode())
            except OSError:
                os.ftruncate(self._file, before)
                raise
        except BusyError:
            self.fault = "another process sends it"
        except OSError as error:
            self.fault = error.strerror or str(error)
        else:
            self.fault, self._waiting = "", []


def earlier(path: Path) -> Opening | None:
    """The opening in a file that an earlier process left, if there is one."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return _read(descriptor, path).opening
    except ConfigError:
        return None
    finally:
        os.close(descriptor)


def _locked(path: Path, flags: int = 0) -> int:
    """Opens and locks a file. Raises OSError, and BusyError if another process has locked it."""
    if flags & os.O_CREAT:
        path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | flags, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyError(str(path)) from None
            except OSError:  # a file system without locks
                pass
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # another process has sent and deleted it


def _read(descriptor: int, path: Path) -> Content:
    """Reads a file from its beginning. Raises ConfigError if it is another kind of file."""
    opening, found, sent, ended = None, list[Message](), set[int](), False
    try:
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            whole, newline, _ = file.read().rpartition(b"\n")
        # Not splitlines, which also splits at U+0085 and U+2028 inside texts.
        for line in whole.decode().split("\n"):
            item: Any = messages.from_line(line)
            match item:
                case Opening():
                    opening = replace(item, run_id=item.run_id or (opening.run_id if opening else None))
                    ended = False
                case messages.Created(run_id) if opening is not None:
                    opening = replace(opening, run_id=run_id)
                case messages.Sent(numbers):
                    sent.update(numbers)
                case _:
                    found.append(_placed(item, path.parent))
                    ended = ended or isinstance(item, messages.End)
            if opening is None:
                raise ValueError("it does not begin with a run")
    except (OSError, ValueError) as error:
        raise _unfit(path, (isinstance(error, OSError) and error.strerror) or reason(error)) from None
    assert opening is not None
    left = {number: message for number, message in enumerate(found) if number not in sent}
    return Content(opening, left, len(found), ended, len(whole) + len(newline))


def _is_recorded(opening: Opening) -> bool:
    """Whether the process that records a run is one of this machine, and has not ended."""
    try:
        process = Process.from_text(opening.process)
    except (ValueError, TypeError):
        return False
    return process.is_of_this_machine() and process != Process.here() and not process.has_ended()


def _portable(message: Message, folder: Path) -> Message:
    """A message that names files of the run relative to its folder, which may be moved."""
    match message:
        case messages.File(local) if Path(local).is_relative_to(folder):
            return replace(message, local=str(Path(local).relative_to(folder)))
        case messages.Model(model) if Path(model).is_relative_to(folder):
            return replace(message, folder=str(Path(model).relative_to(folder)))
    return message


def _placed(message: Message, folder: Path) -> Message:
    """A message with the whole paths of files."""
    match message:
        case messages.File(local):
            return replace(message, local=str(folder.absolute() / local))
        case messages.Model(model):
            return replace(message, folder=str(folder.absolute() / model))
    return message


def _write_whole(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether `path` still names the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _allow_files() -> None:
    """Lets this process have more open files, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _unfit(path: Path, why: str) -> ConfigError:
    return ConfigError(
        must("", f"be a file of undelivered messages ({without_secrets(why)})", str(folders.short(path)))
    )
