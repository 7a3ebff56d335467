"""Ctrl+C and SIGTERM: a command that works keeps what it has measured; at start-up and exit it ends at once.

While a command works, the first signal raises KeyboardInterrupt (`Terminated` for SIGTERM, which schedulers send), and
a second one ends the process at once. During imports and at exit there is nothing to keep, and an exception would print
a traceback from other code. Exit statuses are those of a shell: 128 and the number of the signal.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl+C does."""


_WORDS: Final = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


class _Postponed:
    """Whether the first signal waits for the end of a block, and the signal that does."""

    depth = 0
    waiting: int | None = None


_postponed = _Postponed()


def end_at_once() -> None:
    """Makes a signal end the process at once, unless the process was started with that signal ignored."""
    for number in _WORDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def raise_again() -> None:
    """Makes the next signal raise an exception, and the one after it end the process at once."""
    for number in _WORDS:
        if signal.getsignal(number) is _end:
            signal.signal(number, _raise)


@contextmanager
def postponed() -> Iterator[None]:
    """The first signal waits for the end of the block, which must be short; a second one ends the process at once.

    For changes that must be made whole, or an interrupted training could not be saved. Only the main thread is
    interrupted by signals; in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _postponed.depth += 1
    try:
        yield
    finally:
        _postponed.depth -= 1
        if not _postponed.depth and (number := _postponed.waiting) is not None:
            _postponed.waiting = None
            raise _exception(number)


def word(error: KeyboardInterrupt) -> str:
    """What to say of it, also as the reason why a run ended."""
    return _WORDS[_number(error)]


def status(error: KeyboardInterrupt) -> int:
    """The exit status of the command that it ends."""
    return 128 + _number(error)


def _number(error: KeyboardInterrupt) -> signal.Signals:
    return signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT


def _raise(number: int, frame: FrameType | None) -> None:
    end_at_once()
    if _postponed.depth:
        _postponed.waiting = number
    else:
        raise _exception(number)


def _exception(number: int) -> KeyboardInterrupt:
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()


def _end(number: int, frame: FrameType | None) -> None:
    if sys.stderr is not None:
        os.write(_descriptor(), f"{_WORDS[signal.Signals(number)]}\n".encode())
    os._exit(128 + number)


def _descriptor() -> int:
    """That of the stream of errors: not always 2, see `output.keep_for_python`."""
    try:
        return sys.stderr.fileno()
    except (OSError, ValueError):  # a stream that is no file, or closed
        return 2
