"""Composing a configuration with Hydra: where configurations lie, and what Hydra's complaints come to in one line."""

import re
from collections.abc import Callable, Iterator
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

from runner.errors import ConfigError, Fault, must, unknown

_OWN_FOLDER = "conf"
# An override that changes a value: no prefix of Hydra's grammar (+ ++ ~), no package, no option.
_CHANGE = re.compile(r"^[A-Za-z_][\w.\-]*=")


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
    be, and says so with the nearest name.
    """
    groups = {path.name for root in (shipped(), Path.cwd() / _OWN_FOLDER) if root.is_dir() for path in root.iterdir()}
    return [
        f"++{argument}"
        if _CHANGE.match(argument) and (key := argument.split("=")[0]) not in groups and not key.startswith("hydra")
        else argument
        for argument in arguments
    ]


def plain(config: DictConfig) -> dict[str, Any]:
    """The configuration as plain containers, interpolations resolved. Raises ConfigError where one cannot be."""
    with one_line():
        container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def as_yaml(config: DictConfig) -> str:
    """The configuration as a file that says everything, interpolations resolved."""
    return OmegaConf.to_yaml(config, resolve=True)


@contextmanager
def one_line() -> Iterator[None]:
    """Raises ConfigError in place of what Hydra, OmegaConf and YAML raise about what a user wrote."""
    try:
        yield
    except MissingConfigException as error:
        raise ConfigError(_missing(error)) from error
    except OverrideParseException as error:
        raise ConfigError(
            must("command line", "be made of overrides such as train.epochs=5", error.override)
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(_unreadable(error)) from error
    except OmegaConfBaseException as error:
        raise ConfigError(_unresolved(error)) from error
    except HydraException as error:
        raise ConfigError(_composed(error)) from error


def _missing(error: MissingConfigException) -> Fault:
    name = (error.missing_cfg_file or "").removesuffix(".yaml")
    group, _, choice = name.rpartition("/")
    if not group or not error.options:
        return Fault("command line", f"must name a configuration that exists, got {name or error}")
    return unknown(group.lstrip("/"), group.lstrip("/").replace("/", " "), choice, error.options)


def _unreadable(error: yaml.YAMLError) -> Fault:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "it cannot be read"
    if mark is None:
        return Fault("conf", f"must be YAML, got: {error}".replace("\n", " "))
    name = str(mark.name)
    with_folder = name[name.rfind(f"{_OWN_FOLDER}/") :] if f"{_OWN_FOLDER}/" in name else name
    return Fault(f"{with_folder}:{mark.line + 1}", f"must be YAML, but {problem}".replace("\n", " "))


def _unresolved(error: OmegaConfBaseException) -> Fault:
    key = str(getattr(error, "full_key", None) or "configuration")
    return Fault(key, f"must be resolvable: {str(error.msg or error).splitlines()[0]}")


def _composed(error: HydraException) -> Fault:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = error.__cause__
    while isinstance(cause, HydraException | OmegaConfBaseException) and cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, yaml.YAMLError):
        return _unreadable(cause)
    refused = re.match(r"Could not override '([^']*)'", lines[0]) if lines else None
    if refused:
        return Fault(refused[1], "must be a value that exists" + (f" ({lines[-1]})" if len(lines) > 1 else ""))
    return Fault("command line", "must compose, but " + (lines[0] if lines else type(error).__name__))


def composed(task: Callable[[DictConfig], Any]) -> Callable[[], None]:
    """The task as Hydra's entry point: it reads the command line, composes, and calls the task for every job."""
    import hydra

    register()
    entry: Callable[[], None] = hydra.main(version_base="1.3", config_path=str(shipped()), config_name="config")(task)
    return entry
