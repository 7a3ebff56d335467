"""Values of the environment kept out of what is recorded: texts name the interpolation in place of its value.

    >>> answered("/secret", "${oc.env:FOLDER}")
    >>> withheld("no images in /secret/train")
    'no images in ${oc.env:FOLDER}/train'

What the terminal shows of a command's error is left as it is.
"""

import logging
import re
from typing import Any, Final

# Shorter values, such as a seed of 1, occur in every text, and no secret is so short.
_SHORTEST: Final = 4
_LONGEST_SHOWN: Final = 500  # of a value in a message, which ends in `...` where it is cut
_written: Final[dict[str, str]] = {}


def answered(value: Any, written: str) -> None:
    """Notes what an interpolation came to: a text, a number, or lists and mappings of them."""
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            answered(item, written)
    elif not isinstance(value, bool) and value is not None and len(text := str(value)) >= _SHORTEST:
        _written.setdefault(text, written)
        _written.setdefault(repr(text)[1:-1], written)


def forget() -> None:
    """Begins anew, for another command of this process."""
    _written.clear()


def withheld(text: str) -> str:
    """The text with the interpolations in place of their values, also of those that `...` cuts short."""
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
    """A message of a log, which goes to files."""

    def getMessage(self) -> str:  # noqa: N802 - logging's name
        return withheld(super().getMessage())


def from_logs() -> None:
    """Has every message of Python's logging say so."""
    logging.setLogRecordFactory(_Record)
