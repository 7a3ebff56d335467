"""Overrides as a user writes them, and as Hydra takes them."""

import re
from collections.abc import Collection, Iterable
from typing import Final

from runner.composition.places import groups

# An override that changes a value: no prefix of Hydra's grammar (+ ++ ~), no package, no option.
_CHANGE: Final = re.compile(r"^[A-Za-z_][\w.\-]*=")
# What Hydra's grammar takes for something other than a name.
_NO_NAME: Final = re.compile(r"(?i)[+-]?(nan|inf|null|true|false|\d[\w.+\-]*)")


def for_hydra(arguments: list[str], known: Collection[str] | None = None) -> list[str]:
    """Hydra's arguments, so that a value can be set whether a file in `conf/` mentions it or not.

    Hydra refuses a key that no file mentions, unless it is written `++key`. Here the schema decides what a key may
    be, and says so with the nearest name. And a configuration may be called what would be a number: `debug=nan`.
    `known` are the `groups`, where the caller has them.
    """
    known = groups() if known is None else known
    return [_one_for_hydra(argument, known) for argument in arguments]


def as_typed(lines: Iterable[str], known: Collection[str] | None = None) -> tuple[str, ...]:
    """Overrides as a user would give them: without the ++ that `for_hydra` puts before them."""
    lines = list(lines)
    short = [line.removeprefix("++") for line in lines]
    again = for_hydra(short, known)
    return tuple(own if converted == line else line for own, converted, line in zip(short, again, lines, strict=True))


def _one_for_hydra(argument: str, groups: Collection[str]) -> str:
    if not _CHANGE.match(argument) or argument.startswith("hydra"):
        return argument
    key, _, value = argument.partition("=")
    if key not in groups or value.startswith("{"):
        return f"++{argument}"
    return f"{key}='{value}'" if _NO_NAME.fullmatch(value) else argument
