"""Keeps values of environment variables out of records: in texts, each is replaced by its interpolation.

    >>> remember("/secret", "${oc.env:FOLDER}")
    >>> withheld("no images in /secret/train")
    'no images in ${oc.env:FOLDER}/train'

Errors on the terminal still show the values.
"""

import logging
import re
from typing import Any, Final

# Shorter values, such as a seed of 1, occur by chance in any text, and no secret is so short.
_SHORTEST: Final = 4
_LONGEST_SHOWN: Final = 500  # characters of a value in a message; a longer value is cut and ends in `...`
_written: Final[dict[str, str]] = {}


def remember(value: Any, written: str) -> None:
    """Remembers the value of an interpolation: a text, a number, or lists and mappings of them."""
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            remember(item, written)
    elif not isinstance(value, bool) and value is not None and len(text := str(value)) >= _SHORTEST:
        _written.setdefault(text, written)
        _written.setdefault(repr(text)[1:-1], written)


def forget() -> None:
    """Forgets all values, before the next command of this process."""
    _written.clear()


def withheld(text: str) -> str:
    """Replaces values in a text by their interpolations, including values cut short by `...`."""
    for value in sorted(_written, key=len, reverse=True):
        text = text.replace(value, _written[value])
        if "..." in text:
            cut = (value[:end] for end in range(min(len(value) - 1, _LONGEST_SHOWN), _SHORTEST - 1, -1))
            pattern = "|".join(re.escape(start) for start in cut if start in text)
            if pattern:
                whole = _written[value].replace("\\", r"\\")
                text = re.sub(rf"(?:{pattern})\.\.\.", f"{whole}...", text)
    return text


class _Record(logging.LogRecord):
    """A log message in which values are replaced."""

    def getMessage(self) -> str:  # noqa: N802 - logging's name
        return withheld(super().getMessage())


def from_logs() -> None:
    """Replaces values in all messages of Python's logging."""
    logging.setLogRecordFactory(_Record)
