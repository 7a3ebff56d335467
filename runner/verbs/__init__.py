"""The verbs of the command line: one module each, named after the verb, with the record of its settings.

The first line of a module's docstring is the verb's help, and VERB is the verb itself. To add a verb, add its module:
the command line, its help, the configuration and the JSON Schema read all they need from there.
"""

import ast
import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from runner import help as help_texts
from runner.help import Help
from runner.records import Record
from runner.verb import ComposingVerb, Verb

DEFAULT = "train"


def names() -> list[str]:
    """The names of all verbs, listed without importing a module."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def verb(name: str) -> Verb:
    """The verb of this name, which must be one of `names`."""
    found: Verb = importlib.import_module(f"{__name__}.{name}").VERB
    return found


def overview() -> str:
    """The help of the program: a line for each verb."""
    return Help(
        usage=f"runner [VERB] [ARGUMENT ...]; a command without a verb is {DEFAULT}",
        paragraphs=(),
        rows=tuple((name, _summary(name)) for name in names()),
        note="More: runner VERB --help, runner list. Example: runner train seed=1",
    ).text()


def _summary(name: str) -> str:
    """The first line of a module's docstring, after the verb; the module is not imported."""
    spec = importlib.util.find_spec(f"{__name__}.{name}")
    path = (spec and spec.origin) or ""
    return help_texts.summary(ast.get_docstring(ast.parse(Path(path).read_text(encoding="utf-8"))))


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
