"""The verbs of the command line: a module for each, with the record of its settings, found by its name.

A module says in the first line of its docstring what the verb does, and holds the verb itself as VERB. To add a verb is
to add its module; what the command line, its help, the configuration and the JSON Schema know of it, they read there.
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
    """The verbs that there are; no module is imported to list them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def verb(name: str) -> Verb:
    """The verb of this name, which has to be one of `names`."""
    found: Verb = importlib.import_module(f"{__name__}.{name}").VERB
    return found


def summaries() -> str:
    """A line for each verb: its name, and what its module says that it does."""
    lines = {name: _summary(name) for name in names()}
    return "\n".join(f"  {name:<10} {line}" for name, line in lines.items())


def _summary(name: str) -> str:
    """What the first line of a module's docstring says after the verb; the module is not imported."""
    spec = importlib.util.find_spec(f"{__name__}.{name}")
    path = (spec and spec.origin) or ""
    docstring = ast.get_docstring(ast.parse(Path(path).read_text(encoding="utf-8"))) or ""
    return docstring.splitlines()[0].partition(": ")[2].rstrip(".")


class Settings(Mapping[str, type[Record]]):
    """By verb, the records of settings that are a key of the configuration; each is imported when it is asked for."""

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
