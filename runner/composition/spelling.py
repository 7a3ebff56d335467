"""Converts overrides between the form that users type and the form that Hydra accepts."""

import re
from collections.abc import Collection, Iterable
from typing import Final

from runner.composition.places import groups

# An override that changes a value: no prefix of Hydra's grammar (+ ++ ~), no package, no option.
_CHANGE: Final = re.compile(r"^[A-Za-z_][\w.\-]*=")
# Texts that Hydra's grammar does not read as a name.
_NO_NAME: Final = re.compile(r"(?i)[+-]?(nan|inf|null|true|false|\d[\w.+\-]*)")


def for_hydra(arguments: list[str], known: Collection[str] | None = None) -> list[str]:
    """Puts `++` before overrides, so that a value can be set even if no file in `conf/` has its key.

    Hydra rejects unknown keys without `++`. Our schema checks keys instead, and suggests the nearest name.
    The name of a configuration that looks like a number is quoted: `debug=nan`. `known` may give the `groups`.
    """
    known = groups() if known is None else known
    return [_one_for_hydra(argument, known) for argument in arguments]


def as_typed(lines: Iterable[str], known: Collection[str] | None = None) -> tuple[str, ...]:
    """Overrides as a user types them: without the `++` and the quotes of `for_hydra`."""
    known = groups() if known is None else known
    return tuple(_one_as_typed(line, known) for line in lines)


def _one_as_typed(line: str, groups: Collection[str]) -> str:
    key, _, value = line.removeprefix("++").partition("=")
    for own in (f"{key}={value[1:-1]}", f"{key}={value}"):
        if _one_for_hydra(own, groups) == line:
            return own
    return line


def _one_for_hydra(argument: str, groups: Collection[str]) -> str:
    if not _CHANGE.match(argument) or argument.startswith("hydra"):
        return argument
    key, _, value = argument.partition("=")
    if key not in groups or value.startswith("{"):
        return f"++{argument}"
    return f"{key}='{value}'" if _NO_NAME.fullmatch(value) else argument
