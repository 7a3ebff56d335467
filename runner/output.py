"""Makes printing work on every output: a terminal without the character ×, or a closed pipe.

runner describe | head -3          ends without an error
LC_ALL=en_US.ISO-8859-1 runner     prints - for −, and x if the encoding has no ×
"""

import codecs
import io
import os
import sys
from contextlib import suppress
from typing import Any, Final

_ERRORS: Final = "convrunner.plain"
# The characters beyond ASCII that this project prints; Rich itself draws tables in ASCII if needed.
_PLAIN: Final = {
    "×": "x",
    "−": "-",
    "–": "-",
    "…": "...",
    "±": "+/-",
    "→": "->",
    "≥": ">=",
    "≤": "<=",
    "·": "*",
    "∞": "inf",
}


def settle() -> None:
    """Makes standard output and error accept any text, and ignore a closed pipe."""
    codecs.register_error(_ERRORS, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout is sys.__stdout__:
        sys.stdout = _reopened(sys.stdout)
    if isinstance(sys.stderr, io.TextIOWrapper) and sys.stderr is sys.__stderr__:
        sys.stderr = _reopened(sys.stderr)


def keep_for_python() -> None:
    """Keeps standard output and error for what Python prints: what libraries of C++ write there goes nowhere."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            continue
        stream.flush()
        number = stream.fileno()
        setattr(sys, name, _reopened(stream, os.dup(number)))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


def _reopened(stream: io.TextIOWrapper, number: int | None = None) -> io.TextIOWrapper:
    """The same stream, which ignores a closed pipe; with the descriptor of this number, if one is given."""
    with suppress(OSError):
        stream.flush()
    raw = _Pipe(stream.fileno() if number is None else number, "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=False,
    )


class _Pipe(io.FileIO):
    """Discards output after the reader has closed the pipe."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Replaces a character that the encoding lacks by the nearest in ASCII, or by `?`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(_PLAIN.get(sign, "?") for sign in signs), error.end
