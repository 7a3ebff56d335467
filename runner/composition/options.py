"""Hydra's options on a command line, such as `-m` and `--config-dir FOLDER`, read by Hydra's own parser.

A wrong option gives one line, instead of Hydra's list of options or advice about its internals.
"""

import argparse
import itertools
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Final, NoReturn

from hydra._internal.utils import get_args_parser

from runner.composition.corrections import words_apart
from runner.errors import ConfigError, Fault, must, unknown

_OVERRIDE: Final = re.compile(r"[+~]{0,2}[A-Za-z_$][\w.@:/$-]*=|~")
_RERUN: Final = "--experimental-rerun"
# What a command does; at most one may be given.
_ACTIONS: Final = ("run", "multirun", "cfg", "info", "shell_completion")
_PLACES: Final = ("config_dir", "config_name", "config_path")


def is_override(argument: str) -> bool:
    """Whether an argument is an override, and not an option or the value of one."""
    return _OVERRIDE.match(argument) is not None


def ordered(arguments: Sequence[str]) -> list[str]:
    """The overrides, then the options: Hydra does not read overrides after an option."""
    return sorted(arguments, key=lambda argument: not is_override(argument))


def read(arguments: Sequence[str], typed: Sequence[str] = ()) -> argparse.Namespace:
    """Hydra's options. Raises ConfigError for unknown options and for options that exclude each other.

    `typed` are the arguments in the order of the command line, for messages.
    """
    found, rest = _parsed(arguments)
    if found.experimental_rerun is not None:  # it unpickles a file, which can run any code
        got = next(argument for argument in arguments if argument.startswith("--e"))
        raise ConfigError(must("command line", "launch a recorded config.yaml in place of a pickle", got))
    rest += [argument for argument in found.overrides if "=" not in argument and not argument.startswith("~")]
    if rest:
        raise ConfigError(*_unread(rest, typed or arguments))
    if len(asked := actions(found)) > 1:
        raise ConfigError(must("command line", "ask for one thing", ", ".join(asked)))
    if found.resolve and not (found.cfg or found.help):
        raise ConfigError(must("command line", "have --cfg where it has --resolve", "--resolve alone"))
    return found


def actions(found: argparse.Namespace) -> list[str]:
    """The options that choose what Hydra does, as written on the command line."""
    return [_written(name) for name in _ACTIONS if getattr(found, name)]


def places(command: str) -> tuple[str, ...]:
    """The options of a command line that name the folder or file of the configuration."""
    found, _ = _parsed(shlex.split(command)[1:])
    return tuple(f"{_written(name)}={place}" for name in _PLACES if (place := getattr(found, name)))


def _parsed(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Hydra's options, and the arguments that its parser does not take."""
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]  # its own prints the list of options and exits
    return parser.parse_known_args(ordered(arguments))


def _refuse(message: str) -> NoReturn:
    raise ConfigError(Fault("command line", f"must have options that Hydra can read, but {message}"))


def _unread(unread: Sequence[str], arguments: Sequence[str]) -> Iterator[Fault]:
    """The faults of arguments that are neither overrides nor options; words that follow one another have one."""
    before = ""
    for is_word, group in itertools.groupby(arguments, lambda argument: argument in unread and argument[:1] != "-"):
        found = list(group)
        if is_word and not (before in unread and before.startswith("-")):  # else it is the value of an unknown option
            yield words_apart(before, found)
        before = found[-1]
    yield from (_unknown_option(argument) for argument in unread if argument.startswith("-"))


def _unknown_option(argument: str) -> Fault:
    names = {name for action in get_args_parser()._actions for name in action.option_strings}
    known = (name for name in names if name.startswith("--") and name != _RERUN)
    return unknown("command line", "option", argument.partition("=")[0], known)


def _written(name: str) -> str:
    return f"--{name.replace('_', '-')}"
