"""The file `untracked.jsonl`: what a run could not deliver, as a line that begins the run and a line for each message.

>>> append(folder / UNTRACKED, opening, [messages.Text("describe.txt", "a table")])
>>> with taken(folder / UNTRACKED) as (opening, *rest): ...
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

from runner.errors import ConfigError, must
from runner.tracking import messages
from runner.tracking.faults import reason
from runner.tracking.messages import Message, Opening

UNTRACKED: Final = "untracked.jsonl"


def append(path: Path, opening: Opening, rest: Iterable[Message]) -> None:
    """Adds a run and its messages to the file, which may hold earlier ones of the same run.

    Raises OSError; the file is then as it was.
    """
    draft = path.with_name(f".{path.name}")
    lines = [messages.to_line(message) for message in (opening, *rest)]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        draft.write_text(before + "\n".join(lines) + "\n", encoding="utf-8")
        draft.replace(path)
    except OSError:
        with suppress(OSError):
            draft.unlink()  # half of it could not be sent
        raise


@contextmanager
def taken(path: Path) -> Iterator[list[Any]]:
    """The lines of the file as messages, the first an Opening. A block that ends without an error removes the file.

    Raises ConfigError for what is no such file, and where another process is sending it.
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
        if _is_at(file, path):  # otherwise its run has added to it meanwhile, and what was sent is sent once more
            path.unlink()


def _read(file: IO[str], path: Path) -> list[Any]:
    try:
        # Not splitlines: texts in these lines may hold U+0085 or U+2028, at which it would divide them.
        found = [messages.from_line(line) for line in file.read().rstrip("\n").split("\n")]
        if not isinstance(found[0], Opening):
            raise ValueError("it does not begin with a run")
    except (OSError, ValueError) as error:
        raise _unfit(path, (isinstance(error, OSError) and error.strerror) or reason(error)) from None
    return found


def _is_at(file: IO[str], path: Path) -> bool:
    """Whether an open file still has this name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _unfit(path: Path, why: str) -> ConfigError:
    return ConfigError(must("", f"be a file of what was not tracked ({why})", path.name))
