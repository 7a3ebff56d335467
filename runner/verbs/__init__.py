"""The verbs of the command line: one module each, named after the verb, with the record of its settings.

The first line of a module's docstring is the verb's help, and VERB is the verb itself. To add a verb, add its module:
the command line, its help, the configuration and the JSON Schema read all they need from there.
"""

import ast
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from runner.command import Command
from runner.records import Record
from runner.verb import ComposingVerb

DEFAULT = "train"
Verb = Callable[[Command], int]


def names() -> list[str]:
    """The names of all verbs, listed without importing a module."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def verb(name: str) -> Verb:
    """The verb of this name, which must be one of `names`."""
    found: Verb = importlib.import_module(f"{__name__}.{name}").VERB
    return found


def summaries() -> str:
    """A line of help for each verb: its name, and its summary."""
    lines = {name: _summary(name) for name in names()}
    return "\n".join(f"  {name:<10} {line}" for name, line in lines.items())


def _summary(name: str) -> str:
    """The first line of a module's docstring, after the verb; the module is not imported."""
    spec = importlib.util.find_spec(f"{__name__}.{name}")
    path = (spec and spec.origin) or ""
    docstring = ast.get_docstring(ast.parse(Path(path).read_text(encoding="utf-8"))) or ""
    return docstring.splitlines()[0].partition(": ")[2].rstrip(".")


class Settings(Mapping[str, type[Record]]):
    """By verb, the settings records that are keys of the configuration; each module is imported on access."""

    def __getitem__(self, name: str) -> type[Record]:
        found = verb(name) if name in names() else None
        if not isinstance(found, ComposingVerb):
            raise KeyError(name)
        return found.settings

    def __iter__(self) -> Iterator[str]:
        return (name for name in names() if isinstance(verb(name), ComposingVerb))

    def __len__(self) -> int:
        return sum(1 for _ in self)


SETTINGS = Settings()
