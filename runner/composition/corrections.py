"""The faults of overrides that Hydra cannot read or does not accept, with the form that was probably meant.

>>> print(syntax_fault("data.root=photos (1)"))
data.root: must stand in quotes, as in 'data.root="photos (1)"', got photos (1)
"""

import re
import shlex
from collections.abc import Sequence
from typing import Final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString

from runner.errors import Fault, must

_PATH: Final = re.compile(r"[+~]{0,2}[A-Za-z_][\w./@-]*")
_CHOICE_WITH_NULL: Final = re.compile(r"choice\((.*\bnull\b.*)\)")
_BRACKETED: Final = re.compile(r"""\s*[\[{'"]""")
_MAPPING: Final = re.compile(r"\s*\{.*\}\s*", re.DOTALL)
_CALL: Final = re.compile(r"\s*(\w+)\(")
# Values of a list that cannot be a text with commas: numbers, truths and null.
_NO_TEXT: Final = re.compile(r"(?i)\s*(?:[+-]?[\d.][\w.+-]*|true|false|null|nan|inf)\s*")


def syntax_fault(override: str) -> Fault:
    """The fault of an override that Hydra's grammar cannot read."""
    path, _, value = override.partition("=")
    if not _PATH.fullmatch(path) or not value.strip():
        return must("command line", "be made of overrides such as train.epochs=5", override)
    if listed := _CHOICE_WITH_NULL.fullmatch(value):
        return must(path, f"be written as {shlex.quote(f'{path}={listed[1]}')}, as choice() takes no null", value)
    if _is_call(value):
        return must(path, f"have arguments that {value.split('(')[0].strip()}() takes, and closed brackets", value)
    if _MAPPING.fullmatch(value):
        rule = f"be a mapping, {{name: value, ...}}, or stand in quotes if it is text, as in {_quoted(path, value)}"
        return must(path, rule, value)
    if _BRACKETED.match(value):
        rule = f"stand in quotes if it is text, as in {_quoted(path, value)}, else have closed brackets and quotes"
        return must(path, rule, value)
    return must(path, f"stand in quotes, as in {_quoted(path, value)}", value)


def several_fault(override: str) -> Fault:
    """The fault of an override, as Hydra reads it, with several values in a command without -m."""
    written, _, value = override.partition("=")
    path = written.removeprefix("++")  # see `spelling.for_hydra`: a group has none
    if (
        path == written
        or "," not in value
        or _is_call(value)
        or all(_NO_TEXT.fullmatch(one) for one in value.split(","))
    ):
        return must(path, "have one value, or several with -m (--multirun)", value)
    listed = shlex.quote(f"{path}=[{value}]")
    rule = f"have one value, or several with -m (--multirun); a list is {listed}, a text {_quoted(path, value)}"
    return must(path, rule, value)


def group_and_choice(name: str) -> tuple[str, str]:
    """Divides `model/lenet5`; a group of Hydra has a slash itself: `hydra/launcher/basic`."""
    parts = name.split("/")
    depth = 2 if parts[0] == "hydra" else 1
    return "/".join(parts[:depth]) if len(parts) > depth else "", "/".join(parts[depth:])


def choice_fault(group: str, choice: str) -> Fault | None:
    """The fault of a choice that is a path, or the name of a function; None if it could be the name of a file."""
    if "/" in choice:
        return must(group, f"be the name of a file in conf/{group}/ without its folder and .yaml", choice)
    if choice in _names_of_functions(group):
        return Fault(group, f'unknown {group} "{choice}"; {group}.name={choice} chooses that of Optax')
    return None


def words_apart(before: str, words: Sequence[str]) -> Fault:
    """The fault of arguments that are no overrides: perhaps words of the text of the override `before` them."""
    rule, text = "be made of overrides such as train.epochs=5", " ".join(words)
    path, equals, value = before.partition("=")
    if equals and _PATH.fullmatch(path):
        rule += f" (a text with spaces stands in quotes, as in {_quoted(path, f'{value} {text}')})"
    return must("command line", rule, text)


def _is_call(value: str) -> bool:
    """Whether a value begins as a call of one of Hydra's functions, such as range(0, 5)."""
    called = _CALL.match(value)
    return called is not None and called[1] in OverridesParser.create().functions.functions


def _quoted(path: str, value: str) -> str:
    """An override of a text, as a shell takes it."""
    return shlex.quote(f"{path}={QuotedString(value, Quote.double).with_quotes()}")


def _names_of_functions(group: str) -> frozenset[str]:
    """The names of Optax that `GROUP.name` takes; they are read only where a choice is wrong, as Optax loads slowly."""
    if group == "optimizer":
        from runner.optim import optimizers

        return frozenset(optimizers())
    if group == "schedule":
        from runner.schedule import SCHEDULES

        return frozenset(SCHEDULES)
    return frozenset()
