"""A verb is called with a command and returns the exit status. Four kinds of verb are defined here.

A `ComposingVerb` takes Hydra overrides; its settings, if it has any, are a key of the configuration. A `RunVerb` takes
the name of a finished run, and its own settings:

>>> class Weigh(RunSettings):
...     unit: str = Field("kB", description="The unit of the size.")
>>> verb = RunVerb(Weigh, lambda folder, settings: len(print(folder, settings.unit) or ""))
>>> status = verb(Command("weigh", ("run=.", "unit=MB"), "", {}, str))
. MB

A `StoreVerb` takes its own settings, and reads the store in which runs are recorded. For a `GivenStoreVerb` that is the
store of the command, if it names one. A `RunsVerb` takes the names of runs as plain arguments before its settings.
A `TrainingVerb` trains a run that it is given the name of.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pydantic import Field, ValidationError

from runner import strict_yaml
from runner.command import Command
from runner.errors import ConfigError, must, shown
from runner.faults import fault, first_causes
from runner.records import R, Record, frozen

if TYPE_CHECKING:
    from runner.composition import Job
    from runner.tracking import Tracking

_HELP: Final = ("--help", "-h")
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
    """The base class of the settings of a `RunVerb`."""

    run: str = Field(min_length=1, description=_RUN)


S = TypeVar("S", bound=RunSettings)


@dataclass(frozen=True)
class RunVerb(Generic[S]):
    """Calls `use` with the output folder of a finished run and the verb's settings."""

    settings: type[S]
    use: Callable[[Path, S], int]

    def __call__(self, command: Command) -> int:
        return RunInStoreVerb(self.settings, lambda folder, settings, store: self.use(folder, settings))(command)


@dataclass(frozen=True)
class RunInStoreVerb(Generic[S]):
    """Calls `use` as a `RunVerb` does, and with the overrides of the command that say where runs are recorded."""

    settings: type[S]
    use: Callable[[Path, S, list[str]], int]

    def __call__(self, command: Command) -> int:
        def use(settings: S, store: list[str]) -> int:
            from runner.tracking.locating import output_folder

            with output_folder(settings.run, lambda: _tracking(store)) as folder:
                return self.use(folder, settings, store)

        return _with_settings(self.settings, command, use)


@dataclass(frozen=True)
class StoreVerb(Generic[R]):
    """Calls `use` with the settings of the store in use and the verb's settings."""

    settings: type[R]
    use: Callable[["Tracking", R], int]

    def __call__(self, command: Command) -> int:
        return _with_settings(self.settings, command, lambda own, store: self.use(_tracking(store), own))


@dataclass(frozen=True)
class TrainingVerb(Generic[S]):
    """Calls `use` with the command, the verb's settings, and a way to learn where runs are recorded."""

    settings: type[S]
    use: Callable[[Command, S, Callable[[], "Tracking"]], int]

    def __call__(self, command: Command) -> int:
        return _with_settings(
            self.settings, command, lambda own, store: self.use(command, own, lambda: _tracking(store))
        )


@dataclass(frozen=True)
class GivenStoreVerb(Generic[R]):
    """Calls `use` with the settings of the store that the command names, or None, and the verb's settings."""

    settings: type[R]
    use: Callable[["Tracking | None", R], int]

    def __call__(self, command: Command) -> int:
        return _with_settings(
            self.settings, command, lambda own, store: self.use(_tracking(store) if store else None, own)
        )


@dataclass(frozen=True)
class RunsVerb(Generic[R]):
    """Calls `use` with the names of runs that are given as plain arguments, the store in use, and the settings.

    `fewest` and `most` are the numbers of names that it takes.
    """

    settings: type[R]
    use: Callable[[Sequence[str], "Tracking", R], int]
    fewest: int = 2
    most: int | None = None

    def __call__(self, command: Command) -> int:
        names = [argument for argument in command.arguments if "=" not in argument and argument not in _HELP]
        rest = tuple(argument for argument in command.arguments if argument not in names)

        def use(settings: R, store: list[str]) -> int:
            if len(names) < self.fewest or (self.most is not None and len(names) > self.most):
                count = f"{self.fewest}" if self.most == self.fewest else f"{self.fewest} or more"
                rule = f"name {count} runs, folders or YAML files"
                raise ConfigError(must("command line", rule, " ".join(names) or "nothing"))
            return self.use(names, _tracking(store), settings)

        return _with_settings(self.settings, replace(command, arguments=rest), use, "RUN ... ")


def _with_settings(kind: type[R], command: Command, use: Callable[[R, list[str]], int], plain: str = "") -> int:
    """Calls `use` with the verb's settings and the overrides of the store, or prints the help that is asked for."""
    if set(command.arguments) & set(_HELP):
        print(described(command.verb, kind, plain))
        return 0
    store = [argument for argument in command.arguments if argument.startswith(("tracking.", "tracking="))]
    return use(read(kind, [argument for argument in command.arguments if argument not in store]), store)


def _tracking(overrides: Sequence[str]) -> "Tracking":
    from runner.composition import tracking

    return tracking(overrides)


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


def described(verb: str, kind: type[Record], plain: str = "") -> str:
    """The text of `--help`: each setting with its description and its default; `plain` names plain arguments."""
    rows = list(_rows(kind))
    width = max(len(name) for name, _ in rows)
    lines = [f"runner {verb} {plain}[KEY=VALUE ...]", "", inspect.getdoc(kind) or "", ""]
    return "\n".join([*lines, *(f"  {name:<{width}}  {text}" for name, text in rows), "", _STORE])


def _rows(kind: type[Record], above: str = "") -> Iterator[tuple[str, str]]:
    for name, field in kind.model_fields.items():
        if isinstance(field.default, Record):
            yield from _rows(type(field.default), f"{above}{name}.")
        else:
            default = "must be given" if field.is_required() else f"default: {shown(field.get_default())}"
            yield f"{above}{name}", f"{field.description} ({default})"
