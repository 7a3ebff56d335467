"""A verb is called with a command and returns the exit status. Three kinds of verb are defined here.

A `ComposingVerb` takes Hydra overrides; its settings, if it has any, are a key of the configuration. A `PlainVerb`
reads its command itself. A `SettingsVerb` takes settings of its own alone, and asks for what else it needs, such as the
folder of a run:

>>> class Weigh(RunSettings):
...     unit: str = Field("kB", description="The unit of the size.")
>>> def weigh(settings: Weigh, asked: Asked) -> int:
...     with asked.folder(settings.run) as folder:
...         print(folder, settings.unit)
...     return 0
>>> status = SettingsVerb(Weigh, weigh)(Command("weigh", ("run=.", "unit=MB"), "", {}))
. MB
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, Protocol

from pydantic import Field, ValidationError

from runner import help as help_texts
from runner import strict_yaml
from runner.command import Command
from runner.errors import ConfigError, must
from runner.faults import fault, first_causes
from runner.help import Help
from runner.records import R, Record, frozen

if TYPE_CHECKING:
    from runner.composition import Job
    from runner.tracking import Tracking

_RUN: Final = "An output folder, an MLflow id or its beginning, or a registered model: models:/NAME@ALIAS."
_STORE: Final = "tracking.uri=URI and other settings of tracking say where runs are recorded."
OVERRIDES: Final = "[GROUP=OPTION ...] [PATH=VALUE ...]"
_AS_TRAIN: Final = "What else can be given: runner train --help"


class Verb(Protocol):
    """What the command line needs of a verb."""

    def __call__(self, command: Command) -> int:
        """Does what the command asks. Returns the exit status."""

    def help(self, verb: str) -> Help:
        """The help of the verb, which has this name."""


@dataclass(frozen=True)
class PlainVerb:
    """Calls `use` with the command; `rows` are what it takes, each with its description, for the help."""

    use: Callable[[Command], int]
    usage: str
    rows: Callable[[], tuple[tuple[str, str], ...]]
    note: str = ""
    examples: tuple[str, ...] = ()

    def __call__(self, command: Command) -> int:
        return self.use(command)

    def help(self, verb: str) -> Help:
        """What the verb takes."""
        told = help_texts.paragraphs(_does(self.use))
        return Help(f"runner {verb} {self.usage}", told, self.rows(), self.note, _commands(verb, self.examples))


@dataclass(frozen=True)
class ComposingVerb(Generic[R]):
    """Calls `use` with each configuration of the overrides and the verb's settings; writes nothing.

    `words` are plain words that may stand first, each with the override that it is short for: `describe data`.
    """

    settings: type[R]
    use: Callable[["Job", R], int]
    examples: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, command: Command) -> int:
        from runner.composition import look  # only verbs of this kind need Hydra

        command = self.in_overrides(command)
        return look(command, lambda job: self.use(job, job.configuration.settings(command.verb, self.settings)))

    def in_overrides(self, command: Command) -> Command:
        """The command with an override in place of the word that stands first."""
        first, *rest = command.arguments or ("",)
        return replace(command, arguments=(self.words[first], *rest)) if first in self.words else command

    def help(self, verb: str) -> Help:
        """The settings of the verb; overrides are told by `train`."""
        told = help_texts.paragraphs(_does(self.use), self.settings)
        rows = tuple(help_texts.settings(self.settings, f"{verb}."))
        words = f"[{'|'.join(self.words)}] " if self.words else ""
        return Help(f"runner {verb} {words}{OVERRIDES}", told, rows, _AS_TRAIN, _commands(verb, self.examples))


class RunSettings(Record):
    """The settings of a verb that is told one run."""

    run: str = Field(min_length=1, description=_RUN)


@dataclass(frozen=True)
class Words:
    """The plain words of a command, which stand before its settings: how many, and what completes them.

    `usage` stands in the help, `rule` in the error for another number of words: "name one folder".
    """

    usage: str
    rule: str
    completed_by: Literal["files", "kinds", "entries"] = "files"
    fewest: int = 1
    most: int | None = 1


@dataclass(frozen=True)
class Asked:
    """What a command says besides the settings of its verb: plain words, and overrides of where runs are recorded."""

    command: Command
    words: tuple[str, ...] = ()
    store: tuple[str, ...] = ()

    def tracking(self) -> "Tracking":
        """Where runs are recorded."""
        from runner.composition import tracking

        return tracking(self.store)

    def folder(self, run: str) -> AbstractContextManager[Path]:
        """The output folder of a run. Raises ConfigError where no run is so named, or several."""
        from runner.tracking.locating import output_folder

        return output_folder(run, self.tracking)


@dataclass(frozen=True)
class SettingsVerb(Generic[R]):
    """Calls `use` with the verb's settings and what else the command says. Hydra is not needed.

    `reads_store` says whether the verb takes overrides of where runs are recorded.
    """

    settings: type[R]
    use: Callable[[R, Asked], int]
    words: Words | None = None
    reads_store: bool = True
    examples: tuple[str, ...] = ()

    def __call__(self, command: Command) -> int:
        return self.use(*self.asked(command))

    def asked(self, command: Command) -> tuple[R, Asked]:
        """The settings of a command, and what else it says. Raises ConfigError with every fault."""
        words, store, own = list[str](), list[str](), list[str]()
        for argument in command.arguments:
            if self.words is not None and "=" not in argument and not argument.startswith("-"):
                words.append(argument)
            elif self.reads_store and argument.startswith(("tracking.", "tracking=")):
                store.append(argument)
            else:
                own.append(argument)
        settings = read(self.settings, own)
        if self.words is not None and not (self.words.fewest <= len(words) <= (self.words.most or len(words))):
            raise ConfigError(must("command line", self.words.rule, " ".join(words) or "nothing"))
        return settings, Asked(command, tuple(words), tuple(store))

    def help(self, verb: str) -> Help:
        """Each setting with its description and its default."""
        rows = tuple(help_texts.settings(self.settings))
        usage = ["runner", verb, *([self.words.usage] if self.words else []), *(["[KEY=VALUE ...]"] if rows else [])]
        told = help_texts.paragraphs(_does(self.use), self.settings)
        note = _STORE if self.reads_store else ""
        return Help(" ".join(usage), told, rows, note, _commands(verb, self.examples))


def _does(use: Callable[..., int]) -> str:
    """The summary in the docstring of the module that defines the verb."""
    return help_texts.summary(sys.modules[use.__module__].__doc__)


def _commands(verb: str, arguments: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"runner {verb} {line}".rstrip() for line in arguments)


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether a command line asks what its verb takes."""
    return bool({"--help", "-h"} & set(arguments))


def read(kind: type[R], arguments: Sequence[str]) -> R:
    """The record from arguments such as `top=3` and `size.height=8`. Raises ConfigError with every fault."""
    values: dict[str, Any] = {}
    texts: dict[str, str] = {}
    for argument in arguments:
        key, equals, text = argument.partition("=")
        if not equals or not all(key.split(".")):
            raise ConfigError(must("command line", "be made of settings such as run=RUN", argument))
        texts[key] = text
        _put(values, key, _value(key, text))
    try:
        return kind.model_validate(frozen(values))
    except ValidationError as error:
        wrong = {".".join(map(str, item["loc"])) for item in error.errors() if item["type"] == "string_type"}
    for key in wrong & set(texts):  # 3 is read as a number; the field needs a text
        _put(values, key, texts[key])
    try:
        return kind.model_validate(frozen(values))
    except ValidationError as error:
        raise ConfigError(*(fault(item, values) for item in first_causes(error.errors(include_url=False)))) from None


def _value(key: str, text: str) -> Any:
    """A value as in YAML, if it is a list, a mapping or in quotes; else a number, a bool or a text."""
    if text.startswith(("[", "{", "'", '"')):
        return strict_yaml.read(text, key)
    try:
        return strict_yaml.plain_value(text)
    except ValueError:
        return text


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *above, last = key.split(".")
    for name in above:
        below = values.get(name)
        values[name] = values = below if isinstance(below, dict) else {}
    values[last] = value
