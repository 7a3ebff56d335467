"""Prints to every reader: a terminal that has no sign ×, or a pipe that was closed.

runner describe | head -3          goes on to its end in silence
LC_ALL=en_US.ISO-8859-1 runner     has - for −, and x where there is no ×
"""

import codecs
import io
import sys
from contextlib import suppress
from typing import Any, Final

_ERRORS: Final = "convrunner.plain"
# What this project prints beyond ASCII; Rich draws its tables in ASCII by itself.
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
    """Has the standard output and error of this process take any text; a reader that has gone is no error."""
    codecs.register_error(_ERRORS, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout is sys.__stdout__:
        sys.stdout = _reopened(sys.stdout)


def _reopened(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """The same stream, over a pipe that may close."""
    with suppress(OSError):
        stream.flush()
    raw = _Pipe(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=False,
    )


class _Pipe(io.FileIO):
    """Drops what nobody reads any more."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


def _plain(error: UnicodeError) -> tuple[str, int]:
    """A sign that the encoding lacks, as its nearest in ASCII, or as `?`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(_PLAIN.get(sign, "?") for sign in signs), error.end
