"""A verb is called with a command and returns the exit status. Two kinds of verb are defined here.

A `ComposingVerb` takes Hydra overrides; its settings, if it has any, are a key of the configuration. A `SettingsVerb`
takes settings of its own alone, and asks for what else it needs, such as the folder of a run:

>>> class Weigh(RunSettings):
...     unit: str = Field("kB", description="The unit of the size.")
>>> def weigh(settings: Weigh, asked: Asked) -> int:
...     with asked.folder(settings.run) as folder:
...         print(folder, settings.unit)
...     return 0
>>> status = SettingsVerb(Weigh, weigh)(Command("weigh", ("run=.", "unit=MB"), "", {}, str))
. MB
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Literal

from pydantic import Field, ValidationError

from runner import strict_yaml
from runner.command import Command
from runner.errors import ConfigError, must, shown
from runner.faults import fault, first_causes
from runner.records import R, Record, frozen

if TYPE_CHECKING:
    from runner.composition import Job
    from runner.tracking import Tracking

_RUN: Final = "An output folder, an MLflow id or its beginning, or a registered model: models:/NAME@ALIAS."
_STORE: Final = "tracking.uri, and what else says where runs are recorded, is given as to the verb train."


@dataclass(frozen=True)
class ComposingVerb(Generic[R]):
    """Calls `use` with each configuration of the overrides and the verb's settings; writes nothing."""

    settings: type[R]
    use: Callable[["Job", R], int]

    def __call__(self, command: Command) -> int:
        from runner.composition import look  # only verbs of this kind need Hydra

        return look(command, lambda job: self.use(job, job.configuration.settings(command.verb, self.settings)))


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

    def __call__(self, command: Command) -> int:
        if asks_for_help(command.arguments):
            print(self._help(command.verb))
            return 0
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
        return self.use(settings, Asked(command, tuple(words), tuple(store)))

    def _help(self, verb: str) -> str:
        """Each setting with its description and its default."""
        rows = list(_rows(self.settings))
        width = max((len(name) for name, _ in rows), default=0)
        usage = [f"runner {verb}", *([self.words.usage] if self.words else []), *(["[KEY=VALUE ...]"] if rows else [])]
        parts = [" ".join(usage), inspect.getdoc(self.settings) or ""]
        if rows:
            parts.append("\n".join(f"  {name:<{width}}  {text}" for name, text in rows))
        return "\n\n".join([*parts, *([_STORE] if self.reads_store else [])])


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


def _rows(kind: type[Record], above: str = "") -> Iterator[tuple[str, str]]:
    for name, field in kind.model_fields.items():
        if isinstance(field.default, Record):
            yield from _rows(type(field.default), f"{above}{name}.")
        else:
            default = "must be given" if field.is_required() else f"default: {shown(field.get_default())}"
            yield f"{above}{name}", f"{field.description} ({default})"
