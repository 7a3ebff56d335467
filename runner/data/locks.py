"""A lock between processes, for work that one of them does and the others then find done.

>>> with only_one(Path("work.lock")) as has_waited:
...     print(has_waited)
False
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def only_one(path: Path, *, waiting: Callable[[], None] = lambda: None) -> Iterator[bool]:
    """Lets one process, or thread, at a time into the block. Gives whether another one was waited for.

    `waiting` is called before the wait. The lock ends with its process, however that ends; its file is then deleted by
    the next. On a file system without locks nobody waits. Raises OSError if the file cannot be made.
    """
    has_waited = False
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not has_waited:
                    waiting()
                has_waited = True
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError:  # a file system without locks
                pass
            if not _is_at(descriptor, path):  # deleted by the one that was waited for: another file is the lock now
                continue
            try:
                yield has_waited
            finally:
                with suppress(OSError):
                    path.unlink()
            return
        finally:
            os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a process is in the block of this lock now."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _is_at(descriptor: int, path: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False
