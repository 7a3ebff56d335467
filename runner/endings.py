"""Ends a command after an error: prints one line, and returns an exit status (2: the user's mistake, 1: other)."""

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


def report_error(error: BaseException) -> int:
    """Prints the error on one line per fault and returns the exit status. Raises SystemExit and similar again."""
    if os.environ.get(WHOLE) and not isinstance(error, SystemExit):
        traceback.print_exception(error)
    match error:
        case ConvrunnerError():
            line, status = str(error), error.exit_status
        case KeyboardInterrupt():
            line, status = interrupts.word(error), interrupts.status(error)
        case MemoryError():
            failure = out_of_memory(error)
            line, status = str(failure), failure.exit_status
        case OSError() if error.filename is not None:
            line, status = str(_file_fault(error)), 1
        case Exception():
            line, status = _unexpected(error), 1
        case _:
            raise error
    print(line, file=sys.stderr)
    return status


def out_of_memory(error: MemoryError) -> TrainingError:
    """The error for a failed allocation by Python or NumPy: its size, if known, and the module that asked for it."""
    request = (str(error) or "no more memory available").split("\n")[0]
    return TrainingError(Fault("memory", f"must be enough ({request}, in {_place(error.__traceback__)})"))


def _file_fault(error: OSError) -> Fault:
    """The fault of a file that cannot be read or written, with the system's reason."""
    return Fault(str(error.filename), f"must be readable and writable, but: {error.strerror or error}")


@contextmanager
def warn_on_file_errors(what: str) -> Iterator[None]:
    """Continues if a file cannot be written, for example on a full disk; a warning names the file."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _log.warning("%s was not written: %s%s", what, error.strerror or error, where)


def _unexpected(error: Exception) -> str:
    """The line for a bug of the program itself."""
    reason = str(error).strip().split("\n")[0]
    summary = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    text = "".join(traceback.format_exception(error))
    try:
        path = _save_traceback(withheld(text))
    except OSError:
        return f"{text}\nunexpected error, please report it with the lines above: {summary}"
    return f"unexpected error, please report it with {path}: {summary}"


def _save_traceback(text: str) -> Path:
    """Writes a traceback to the log file of the run, or to a new file if there is no log yet. Returns its path."""
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
    """The innermost module of this project in a traceback."""
    place = "Python"
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(_PACKAGE):
            place = ".".join(path.relative_to(_PACKAGE.parent).with_suffix("").parts)
        trace = trace.tb_next
    return place
