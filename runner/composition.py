"""Composing a configuration with Hydra: where configurations lie, and what Hydra's complaints come to in one line."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.blocks import used
from runner.errors import ConfigError, ConvrunnerError, Fault, must, unknown

_OWN_FOLDER = "conf"
# An override that changes a value: no prefix of Hydra's grammar (+ ++ ~), no package, no option.
_CHANGE = re.compile(r"^[A-Za-z_][\w.\-]*=")
# What Hydra's grammar takes for something other than a name.
_NO_NAME = re.compile(r"(?i)[+-]?(nan|inf|null|true|false|\d[\w.+\-]*)")


def shipped() -> Path:
    """The configurations that come with the project: inside an installed package, else beside it in a checkout."""
    here = Path(__file__).resolve().parent
    inside = here / _OWN_FOLDER
    return inside if inside.is_dir() else here.parent / _OWN_FOLDER


class OwnFolderFirst(SearchPathPlugin):
    """Has a `conf/` in the current folder come before the shipped one: its files join, and win where names agree."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        own = Path.cwd() / _OWN_FOLDER
        if own.is_dir() and own.resolve() != shipped():
            search_path.prepend(provider="current folder", path=str(own))


def register() -> None:
    """Makes Hydra look into the current folder first."""
    plugins = Plugins.instance()
    if OwnFolderFirst not in plugins.discover(SearchPathPlugin):
        plugins.register(OwnFolderFirst)


def free(arguments: list[str]) -> list[str]:
    """Hydra's arguments, so that a value can be set whether a file in `conf/` mentions it or not.

    Hydra refuses a key that no file mentions, unless it is written `++key`. Here the schema decides what a key may
    be, and says so with the nearest name. And a configuration may be called what would be a number: `debug=nan`.
    """
    known = groups()
    return [_freed(argument, known) for argument in arguments]


def groups() -> set[str]:
    """The config groups that can be chosen from: the folders in `conf/`."""
    return {path.name for root in (shipped(), Path.cwd() / _OWN_FOLDER) if root.is_dir() for path in root.iterdir()}


def _freed(argument: str, groups: set[str]) -> str:
    if not _CHANGE.match(argument) or argument.startswith("hydra"):
        return argument
    key, _, value = argument.partition("=")
    if key not in groups or value.startswith("{"):
        return f"++{argument}"
    return f"{key}='{value}'" if _NO_NAME.fullmatch(value) else argument


def plain(config: DictConfig) -> dict[str, Any]:
    """The configuration as plain containers, interpolations resolved, with the blocks of the library that it uses.

    Raises ConfigError where it cannot be resolved.
    """
    with one_line():
        container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(container, dict)
    return with_library({str(key): value for key, value in container.items()})


def with_library(found: dict[str, Any]) -> dict[str, Any]:
    """A plain configuration with the blocks of the library that its model uses among its own."""
    model = found.get("model")
    if isinstance(model, dict):
        own = model.get("blocks") or {}
        taken = used(model, _LazyLibrary()) if isinstance(own, dict) else {}
        if taken:
            model["blocks"] = {**taken, **own}
    return found


def block_library() -> frozenset[str]:
    """The names of all blocks that a model here can use without declaring them."""
    return frozenset(_LazyLibrary())


class _LazyLibrary(Mapping[str, Any]):
    """The blocks of `conf/block/*.yaml`, each read when it is asked for; the current folder's come first."""

    def __init__(self) -> None:
        folders = (shipped(), Path.cwd() / _OWN_FOLDER)
        self._files = {path.stem: path for folder in folders for path in sorted((folder / "block").glob("*.yaml"))}

    def __getitem__(self, name: str) -> Any:
        path = self._files[name]
        with one_line():
            try:
                return OmegaConf.to_container(OmegaConf.load(path))
            except OSError as error:
                raise ConfigError(Fault(_own_name(path), f"must be a mapping, but {_first_line(error)}")) from error

    def __contains__(self, name: object) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def as_yaml(config: dict[str, Any]) -> str:
    """A plain configuration as a file that says everything and can be launched again."""
    text: str = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=120)
    return text


@contextmanager
def one_line() -> Iterator[None]:
    """Raises ConfigError in place of what Hydra, OmegaConf, YAML and Python raise about what a user wrote."""
    try:
        yield
    except ConvrunnerError:
        raise
    except Exception as error:
        raise ConfigError(_said(error)) from error


def _said(error: Exception) -> Fault:
    """What is wrong, and where, by an error that was raised while a configuration was composed or resolved."""
    match error:
        case MissingConfigException():
            return _missing(error)
        case OverrideParseException():
            written = error.override.removeprefix("++")  # see `free`
            return must("command line", "be made of overrides such as train.epochs=5", written)
        case yaml.YAMLError():
            return _unreadable(error)
        case OmegaConfBaseException():
            return _unresolved(error)
        case HydraException():
            return _composed(error)
        case _:
            return _stumbled(error)


def _missing(error: MissingConfigException) -> Fault:
    name = (error.missing_cfg_file or "").removesuffix(".yaml")
    group, _, choice = name.rpartition("/")
    if not group or not error.options:
        return Fault("command line", f"must name a configuration that exists, got {name or _first_line(error)}")
    return unknown(group.lstrip("/"), group.lstrip("/").replace("/", " "), choice, error.options)


def _unreadable(error: yaml.YAMLError) -> Fault:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "it cannot be read"
    if mark is None:
        return Fault(_own_name(_found(error, "full_path")), f"must be YAML, but {_first_line(error)}")
    return Fault(f"{_own_name(mark.name)}:{mark.line + 1}", f"must be YAML, but {problem}".replace("\n", " "))


def _unresolved(error: OmegaConfBaseException) -> Fault:
    key = str(getattr(error, "full_key", None) or "configuration")
    return Fault(key, f"must be resolvable: {_first_line(error.msg or error)}")


def _composed(error: HydraException) -> Fault:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, yaml.YAMLError):
            return _unreadable(cause)
    refused = re.match(r"Could not override '([^']*)'", lines[0]) if lines else None
    if refused:
        return Fault(refused[1], "must be a value that exists" + (f" ({lines[-1]})" if len(lines) > 1 else ""))
    if lines and lines[0].startswith("Error merging override") and (override := _found(error, "override")):
        return Fault(override.key_or_group, f"must be a place that exists ({_first_line(causes[-1])})")
    said = (lines[0] if lines else _first_line(causes[-1])).replace("'++", "'")  # see `free`
    return Fault("command line", f"must compose, but {said}")


def _stumbled(error: Exception) -> Fault:
    """What Hydra and OmegaConf do not expect, so that it is one of Python's own errors."""
    if override := _found(error, "override"):
        place, value = override.key_or_group or "command line", override.value()
        if str(error).startswith("Config group override"):
            return must(place, "be the name of a configuration", value)
        return Fault(place, f"must be a place that exists ({_first_line(error)})")
    file = _found(error, "full_path")
    rule = "be a mapping" if isinstance(error, OSError) else "be UTF-8 text"
    if file and isinstance(error, OSError | UnicodeError):
        return Fault(_own_name(file), f"must {rule}, but {_first_line(error)}")
    if isinstance(error, OSError) and error.filename:
        return must(str(error.filename), "be a place to write to", error.strerror)
    return Fault(_own_name(file), f"must compose, but {_first_line(error)}")


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what led to it, the first cause last."""
    found = [error]
    while found[-1].__cause__ is not None:
        found.append(found[-1].__cause__)
    return found


def _found(error: BaseException, name: str) -> Any:
    """What a variable of Hydra's held where the error was raised: the override, or the file, it was about."""
    value, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").startswith("hydra."):
            value = trace.tb_frame.f_locals.get(name, value)
        trace = trace.tb_next
    return value


def _own_name(file: Any) -> str:
    """A file as a user calls it, `conf/model/x.yaml`; all of it where no file is known."""
    name = str(file or _OWN_FOLDER)
    return name[name.rfind(f"{_OWN_FOLDER}/") :] if f"{_OWN_FOLDER}/" in name else name


def _first_line(text: object) -> str:
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return lines[0] if lines else type(text).__name__


def composed(task: Callable[[DictConfig], Any], **known: Any) -> Callable[[], None]:
    """The task as Hydra's entry point: it reads the command line, composes, and calls the task for every job.

    What is `known` by name becomes attributes of the task, where the plugins in `hydra_plugins/` find it.
    Raises ConfigError where something does not compose; what the task raises comes as it is.
    """
    import hydra

    register()
    raised: list[BaseException] = []

    def job(config: DictConfig) -> Any:
        try:
            return task(config)
        except BaseException as error:
            raised.append(error)
            raise

    vars(job).update(known)
    entry = hydra.main(version_base="1.3", config_path=str(shipped()), config_name="config")(job)

    def compose() -> None:
        try:
            entry()
        except Exception as error:
            if isinstance(error, ConvrunnerError | BrokenPipeError) or any(error is own for own in raised):
                raise
            raise ConfigError(_said(error)) from error

    return compose
