"""The words that may follow a command line: verbs, groups, paths, values, options and files.

>>> candidates([], "descr")
['describe']
>>> candidates(["optimizer=momentum"], "optimizer.name=sg")
['optimizer.name=sgd']
"""

import itertools
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from runner import shipped
from runner.completion import entries, settings
from runner.completion.tree import Node, written

_OWN: Final = Path("conf")
_NO_GROUPS: Final = ("hydra", "block")
_OPTIONS: Final = (
    "--cfg", "--config-dir", "--config-name", "--help", "--hydra-help", "--info", "--multirun", "--package",
    "--resolve", "--version", "-m",
)  # fmt: skip
_OPTION_VALUES: Final = {"--cfg": ("all", "hydra", "job"), "-c": ("all", "hydra", "job")}


def words(line: str) -> tuple[list[str], str]:
    """The finished words of a line up to the cursor, without the program's name, and the word at the cursor."""
    finished, _, current = line.rpartition(" ")
    try:
        parts = shlex.split(finished)
    except ValueError:  # the cursor is inside quotes
        return [], "'"
    is_python = bool(parts) and Path(parts[0]).name.startswith("python")
    return parts[3 if is_python else 1 :], current


def candidates(before: Sequence[str], current: str) -> list[str]:
    """The whole words that the word at the cursor may become, sorted. Those that go on end with `=`, `.` or `/`."""
    if before and before[-1] in _OPTION_VALUES:
        found: Iterator[str] = iter(_OPTION_VALUES[before[-1]])
    elif current.startswith("-"):
        found = iter(_OPTIONS)
    elif before and before[0] in settings.names() and (taken := settings.taken(before[0])) is not None:
        found = itertools.chain(_words(taken, before[1:], current), _settings(taken, current))
    else:
        found = _overrides(before, current)
    return sorted({word for word in found if word.startswith(current)})


def groups() -> list[str]:
    """The names of the config groups."""
    found = {path.name for root in (shipped.configurations(), _OWN) for path in root.glob("*") if path.is_dir()}
    return sorted(found.difference(_NO_GROUPS))


def choices(group: str) -> list[str]:
    """The options of a group, or of a folder in a group: `models/mine`."""
    roots = (shipped.configurations() / group, _OWN / group)
    return sorted(
        {path.relative_to(root).with_suffix("").as_posix() for root in roots for path in root.rglob("*.yaml")}
    )


def _words(taken: settings.Taken, before: Sequence[str], current: str) -> Iterator[str]:
    """The plain words that a verb takes, as long as it takes another one."""
    given = sum("=" not in word for word in before)
    if not taken.words or "=" in current or (taken.most_words is not None and given >= taken.most_words):
        return iter(())
    words: dict[str, Callable[[], Iterable[str]]] = {
        "files": lambda: _files(current),
        "kinds": entries.kinds,
        "entries": lambda: entries.names(choices),
    }
    return iter(words[taken.words]())


def _settings(taken: settings.Taken, current: str) -> Iterator[str]:
    """The settings of a verb, and where runs are recorded."""
    key, equals, text = current.partition("=")
    if taken.reads_store and key.startswith("tracking"):
        yield from _overrides((), current)
    elif equals:
        if key in taken.settings:
            yield from (f"{key}={value}" for value in taken.settings[key] or _files(text))
    else:
        yield from (f"{name}=" for name in taken.settings)
        if taken.reads_store:
            yield from ("tracking=", "tracking.")


def _overrides(before: Sequence[str], current: str) -> Iterator[str]:
    signs = re.match(r"[+~]*", current)
    prefix = signs[0] if signs else ""
    key, equals, value = current[len(prefix) :].partition("=")
    if not before and not prefix and not equals:
        yield from settings.names()
    if equals:
        # Several values are separated by commas: optimizer=adam,momentum.
        head, comma, last = value.rpartition(",")
        for found in _values(before, key, last):
            yield f"{prefix}{key}={head}{comma}{found}"
        return
    for group in groups():
        yield f"{prefix}{group}="
    above, dot, _ = key.rpartition(".")
    node = _node(before, above)
    own = set(settings.names()).difference(groups(), before[:1])  # the settings of other verbs
    for name in node.names():
        if not above and name in own:
            continue
        below = node.child(name)
        if below.names():
            yield f"{prefix}{above}{dot}{name}."
        if not below.names() or below.choices():
            yield f"{prefix}{above}{dot}{name}="


def _values(before: Sequence[str], key: str, last: str) -> Iterator[str]:
    if key in groups():
        yield from choices(key)
        return
    node = _node(before, key)
    if known := node.choices():
        yield from known
    elif node.is_text():
        yield from _files(last)
    elif not last and (value := node.value_text()):
        yield value


def _node(before: Sequence[str], path: str) -> Node:
    """What the schema and the chosen files say of a path."""
    node = Node.root({group: written(group, choice) for group, choice in _chosen(before).items()})
    for name in filter(None, path.split(".")):
        node = node.child(name)
    return node


def _chosen(before: Sequence[str]) -> dict[str, str]:
    """By group, the option that the command line or `config.yaml` chooses."""
    found: dict[str, str] = {}
    for entry in written("", "config").get("defaults", []):
        if isinstance(entry, dict):
            found |= {str(group): str(option) for group, option in entry.items() if option}
    given = (word.partition("=") for word in before)
    return found | {key.lstrip("+"): value for key, _, value in given if key.lstrip("+") in groups()}


def _files(text: str) -> Iterator[str]:
    """The files that begin with a text; folders end with a slash."""
    folder, slash, name = text.rpartition("/")
    try:
        paths = list(Path(f"{folder}{slash}" or ".").expanduser().iterdir())
    except OSError:
        return
    for path in paths:
        if path.name.startswith(name) and (name.startswith(".") or not path.name.startswith(".")):
            yield f"{folder}{slash}{path.name}" + ("/" if path.is_dir() else "")
