"""The file `untracked.jsonl` of undelivered messages: one line for the opening of the run, then one for each message.

>>> append(folder / UNTRACKED, opening, [messages.Text("describe.txt", "a table")])
>>> with locked(folder / UNTRACKED) as (opening, *rest): ...
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from runner import atomic
from runner.errors import ConfigError, must
from runner.tracking import messages
from runner.tracking.faults import reason
from runner.tracking.messages import Message, Opening

UNTRACKED: Final = "untracked.jsonl"


def append(path: Path, opening: Opening, rest: Iterable[Message]) -> None:
    """Adds an opening and messages to the file, which may contain earlier ones of the same run.

    Raises OSError; the file is then unchanged.
    """
    lines = [messages.to_line(message) + "\n" for message in (opening, *rest)]
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_bytes() if path.exists() else b""
    atomic.write(path, before, "".join(lines).encode())  # an incomplete file cannot be sent


@contextmanager
def locked(path: Path) -> Iterator[list[Any]]:
    """Locks the file and yields its messages, the first an Opening. Deletes the file if the block raises no error.

    Raises ConfigError for another kind of file, or if another process is sending it.
    """
    try:
        file = path.open(encoding="utf-8")
    except OSError as error:
        raise _unfit(path, error.strerror or str(error)) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(must("", "be a file that no other process is sending", path.name)) from None
        except OSError:  # a file system without locks
            pass
        if not _is_at(file, path):
            raise _unfit(path, "another process has changed it")
        yield _read(file, path)
        if _is_at(file, path):  # otherwise the run has added messages meanwhile, and all are sent again later
            path.unlink()


def _read(file: IO[str], path: Path) -> list[Any]:
    try:
        # Not splitlines, which also splits at U+0085 and U+2028 inside texts.
        found = [messages.from_line(line) for line in file.read().rstrip("\n").split("\n")]
        if not isinstance(found[0], Opening):
            raise ValueError("it does not begin with a run")
    except (OSError, ValueError) as error:
        raise _unfit(path, (isinstance(error, OSError) and error.strerror) or reason(error)) from None
    return found


def _is_at(file: IO[str], path: Path) -> bool:
    """Whether `path` still names the open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _unfit(path: Path, why: str) -> ConfigError:
    return ConfigError(must("", f"be a file of undelivered messages ({why})", path.name))
