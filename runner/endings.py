"""How a command ends after an error: one line says what happened, the exit status whose mistake it was."""

import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final

from runner import interrupts
from runner.errors import ConvrunnerError, Fault, TrainingError
from runner.withheld import withheld

WHOLE: Final = "CONVRUNNER_TRACEBACK"
_log = logging.getLogger(__name__)
_PACKAGE: Final = Path(__file__).resolve().parent


def told(error: BaseException) -> int:
    """Prints one line about the error. Returns the exit status; SystemExit and its like are raised again."""
    if os.environ.get(WHOLE) and not isinstance(error, SystemExit):
        traceback.print_exception(error)
    match error:
        case ConvrunnerError():
            line, status = str(error), error.exit_status
        case KeyboardInterrupt():
            line, status = "interrupted", interrupts.STATUS
        case MemoryError():
            too_much = out_of_memory(error)
            line, status = str(too_much), too_much.exit_status
        case OSError() if error.filename is not None:
            line, status = str(unwritten(error)), 1
        case Exception():
            line, status = _unexpected(error), 1
        case _:
            raise error
    print(line, file=sys.stderr)
    return status


def out_of_memory(error: MemoryError) -> TrainingError:
    """The error for Python or NumPy without memory: how much was wanted, as far as is known, and by which module."""
    wanted = (str(error) or "no more memory could be had").split("\n")[0]
    return TrainingError(Fault("memory", f"must hold what is asked for ({wanted}, in {_place(error.__traceback__)})"))


def unwritten(error: OSError) -> Fault:
    """A file of ours that the system refused, and why."""
    return Fault(str(error.filename), f"must be readable and writable, but: {error.strerror or error}")


@contextmanager
def going_on(what: str) -> Iterator[None]:
    """Lets training go on where a file cannot be written, as on a full disk; a warning names the file."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _log.warning("%s was not written: %s%s", what, error.strerror or error, where)


def _unexpected(error: Exception) -> str:
    """The line for a fault of the program itself."""
    reason = str(error).strip().split("\n")[0]
    said = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    text = "".join(traceback.format_exception(error))
    try:
        kept = _kept(withheld(text))
    except OSError:
        return f"{text}\nunexpected error, please report it with the lines above: {said}"
    return f"unexpected error, please report it with {kept}: {said}"


def _kept(text: str) -> Path:
    """Keeps a traceback in the log file of the run, or in a file of its own where there is none yet."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            path = Path(handler.baseFilename)
            with path.open("a", encoding="utf-8") as file:
                file.write(text)
            return path
    number, name = tempfile.mkstemp(prefix="convrunner-", suffix=".log", text=True)
    with os.fdopen(number, "w", encoding="utf-8") as own:
        own.write(text)
    return Path(name)


def _place(trace: TracebackType | None) -> str:
    """The innermost module of this project that a traceback passes through."""
    place = "Python"
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(_PACKAGE):
            place = ".".join(path.relative_to(_PACKAGE.parent).with_suffix("").parts)
        trace = trace.tb_next
    return place
