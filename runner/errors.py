"""The errors that users meet. Each prints one line per fault and no traceback.

ConvrunnerError
├── ConfigError        the configuration is wrong                exit status 2
├── DataError          the data are missing, broken or unsuitable exit status 2
├── TrackingError      the tracking store cannot be opened       exit status 2
└── TrainingError      a run failed while it was running         exit status 1
    └── NonFiniteError the loss became NaN or infinite           exit status 1
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Fault:
    """One mistake and its place; printed as `path: text`."""

    path: str
    text: str

    def __str__(self) -> str:
        line = f"{self.path}: {self.text}" if self.path else self.text
        return printable(line)


def printable(text: str) -> str:
    """Escapes line ends, control characters and undecodable bytes, so that a text prints on one line of UTF-8."""
    return "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")


def must(path: str, rule: str, got: object) -> Fault:
    """A fault of the form `path: must RULE, got VALUE`."""
    return Fault(path, f"must {rule}, got {shown(got)}")


def unknown(path: str, what: str, name: str, known: Iterable[str], *, listing: str = "") -> Fault:
    """A fault for an unknown name, with the nearest known names, or all known names if they are few.

    `listing` is a command that lists them; it is named if they are too many for one line.
    """
    names = sorted(known)
    text, is_short = f'unknown {what} "{name}"', len(", ".join(names)) <= 200
    if nearest := _nearest(name, names):
        text += f'; did you mean "{nearest}"?'
    elif names and is_short:
        text += f"; must be one of {', '.join(names)}"
    elif listing:
        text += f"; the nearest are {', '.join(difflib.get_close_matches(name, names, n=3, cutoff=0.0))}"
    if listing and not is_short:
        text += f" {listing} lists all {len(names)}" if nearest else f"; {listing} lists all {len(names)}"
    return Fault(path, text)


def _nearest(name: str, names: list[str]) -> str | None:
    """The known name that was probably meant: an anagram, a name with these initials, a similar or a longer name."""
    for known in names:
        initials = "".join(word[:1] for word in known.split("_"))
        if sorted(known) == sorted(name) or (len(name) > 1 and initials == name):
            return known
    alike = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return next(iter(alike or [known for known in names if len(name) > 2 and name in known]), None)


def shown(value: object, longest: int = 60) -> str:
    """A value as a user would write it in YAML, on one line and at most `longest` characters long."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif value is None:
        text = "null"
    elif isinstance(value, str):
        text = value if value.isprintable() and value.strip() else repr(value)
    elif isinstance(value, tuple | list):
        text = f"[{', '.join(shown(item, longest) for item in value)}]"
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{shown(key)}: {shown(item, longest)}" for key, item in value.items()) + "}"
    else:
        text = str(value)
    return text if len(text) <= longest else text[: longest - 3] + "..."


class ConvrunnerError(Exception):
    """Base class of errors for users: one or more faults, and the exit status of the process."""

    exit_status: ClassVar[int] = 1

    def __init__(self, *faults: Fault) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults

    def __reduce__(self) -> tuple[type["ConvrunnerError"], tuple[Fault, ...]]:
        # As pickled by another process: Exception's own would have the text in place of the faults.
        return type(self), self.faults


class ConfigError(ConvrunnerError):
    """The configuration is wrong; contains all its faults."""

    exit_status = 2


class DataError(ConvrunnerError):
    """The data are missing or broken, or differ from the configuration."""

    exit_status = 2


class TrackingError(ConvrunnerError):
    """The tracking store cannot be opened."""

    exit_status = 2


class TrainingError(ConvrunnerError):
    """A run failed while it was running."""


class NonFiniteError(TrainingError):
    """The loss became NaN or infinite."""
