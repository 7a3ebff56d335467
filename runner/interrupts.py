"""Ctrl+C before a command begins its work, and after the end of its work: it prints one word and exits with status 130.

While the command works, an interrupt raises KeyboardInterrupt, so that measurements are kept. While modules are
imported, and while Python ends, that error would come out of other code as a traceback, and there is nothing to keep.
"""

import os
import signal
import sys
from types import FrameType

STATUS = 130


def end_at_once() -> None:
    """Has an interrupt end the process where it is, unless whoever started the process has it ignore interrupts."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end)


def raise_again() -> None:
    """Has an interrupt raise KeyboardInterrupt, as Python itself has it."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    if sys.stderr is not None:
        os.write(2, b"interrupted\n")
    os._exit(STATUS)
