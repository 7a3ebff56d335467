"""What Ctrl+C does before a command has begun its work and after it has ended it: one word, and status 130.

While the command works, an interrupt raises KeyboardInterrupt, so that what was measured is kept. While modules are
imported, and while Python ends, such an error would come out of foreign code as a traceback, and nothing is to be kept.
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
