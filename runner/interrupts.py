"""Handles Ctrl+C during start-up and exit: prints one word and exits with status 130.

While a command works, an interrupt raises KeyboardInterrupt, so that measurements are kept. During imports and at exit
there is nothing to keep, and KeyboardInterrupt would print a traceback from other code.
"""

import os
import signal
import sys
from types import FrameType

STATUS = 130


def end_at_once() -> None:
    """Makes an interrupt end the process at once, unless the process was started with interrupts ignored."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end)


def raise_again() -> None:
    """Makes an interrupt raise KeyboardInterrupt again, Python's default."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    if sys.stderr is not None:
        os.write(2, b"interrupted\n")
    os._exit(STATUS)
