"""Rejects YAML and overrides that would make Hydra or `logging` call Python.

Launchers and sweepers of installed plugins are chosen through Hydra's groups: `hydra/launcher=joblib`. The environment
variable CONVRUNNER_ALLOW_TARGETS lists further allowed dotted names, separated by commas: `my_package.MyCallback`.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository, IConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import ImportlibResourcesConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, ListConfig, OmegaConf

from runner import limits, strict_yaml
from runner.composition import editing, interpolations, overriding
from runner.composition.complaints import OWN_FOLDER, own_name
from runner.errors import ConfigError, Fault, must, shown

ALLOW: Final = "CONVRUNNER_ALLOW_TARGETS"
_TARGET: Final = "_target_"
_RULE: Final = f"be left out, as YAML calls no Python (the environment variable {ALLOW} may allow it)"
_MADE: Final = ("callbacks", "launcher", "sweeper")  # Hydra calls what these name
_GLOBAL: Final = ("experiment", "debug")  # groups whose files set values of other groups
_BASIC_SWEEPER: Final = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
_LOGGING: Final = ("job_logging", "hydra_logging")  # Python's logging calls what these name
_LOG_FILE: Final = "${hydra.runtime.output_dir}/${hydra.job.name}.log"
_LOG_CLASSES: Final = frozenset(
    ("logging.StreamHandler", "logging.FileHandler", "logging.NullHandler", "logging.Formatter")
)
_LOG_FACTORIES: Final = frozenset(("colorlog.ColoredFormatter",))
_LOG_STREAMS: Final = frozenset(("ext://sys.stdout", "ext://sys.stderr"))


def allowed() -> frozenset[str]:
    """The dotted names that the environment allows."""
    return frozenset(name.strip() for name in os.environ.get(ALLOW, "").split(",") if name.strip())


class StrictFiles(FileConfigSource):
    """Hydra's source of YAML files: reads them with `strict_yaml` and rejects targets."""

    def load_config(self, config_path: str) -> ConfigResult:
        name = self._normalize_file_name(config_path)
        path = os.path.realpath(Path(self.path) / name)
        text = read_text(Path(path))
        value = strict_yaml.read(text, own_name(path))
        if value is not None and not isinstance(value, dict):
            raise ConfigError(must(own_name(path), "be a mapping", value))
        if faults := [must(f"{own_name(path)}: {place}", _RULE, got) for place, got in _targets(value or {})]:
            raise ConfigError(*faults)
        return ConfigResult(
            config=OmegaConf.create(value or {}),
            path=f"{self.scheme()}://{self.path}",
            provider=self.provider,
            header=ConfigSource._get_header_dict(text[:512]),
        )


class InstalledPackages(ImportlibResourcesConfigSource):
    """Hydra's source of YAML in packages: Hydra's own and plugins. Reading another package would import it."""

    def __init__(self, provider: str, path: str) -> None:
        super().__init__(provider, path)
        own = self.path == "hydra.conf" or f"{self.path}.".startswith("hydra_plugins.")
        if not own and self.path not in allowed():
            rule = f"name folders: a package is imported, which the environment variable {ALLOW} may allow"
            raise ConfigError(must("hydra.searchpath", rule, path))


# A launcher such as joblib sends Hydra's registry to another process. Hydra registers its own sources there again, and
# raises ValueError if a source for the same scheme is there under another name.
StrictFiles.__name__ = FileConfigSource.__name__
InstalledPackages.__name__ = ImportlibResourcesConfigSource.__name__


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, read strictly. Raises ConfigError with the short path of the file."""
    return strict_yaml.read(read_text(path), own_name(path))


def read_text(path: Path) -> str:
    """The text of a YAML file. Raises ConfigError with the short path of the file."""
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(limits.YAML_BYTES + 1)
    except UnicodeError as error:
        raise ConfigError(Fault(own_name(path), f"must be UTF-8 text, but {error}")) from error
    except OSError as error:
        raise ConfigError(Fault(own_name(path), f"must be a mapping, but {error}")) from error


def register() -> None:
    """Makes Hydra read files and packages by the sources above."""
    SourcesRegistry.instance().types.update(file=StrictFiles, pkg=InstalledPackages)


class CheckedLoader(ConfigLoaderImpl):
    """Hydra's loader, which checks each configuration before it returns it."""

    def _parse_overrides_and_create_caching_repo(
        self, config_name: str | None, overrides: list[str]
    ) -> tuple[list[Override], CachingConfigRepository]:
        for text in overrides:
            overriding.check_text(text)
            if _TARGET in text and not any(name in text for name in allowed()):
                raise ConfigError(must("command line", _RULE, text.removeprefix("++")))
        parsed, repository = super()._parse_overrides_and_create_caching_repo(config_name, overrides)
        overriding.check_counts(parsed)
        return parsed, repository

    def _compose_config_from_defaults_list(self, defaults: list[ResultDefault], repo: IConfigRepository) -> DictConfig:
        compose = super()._compose_config_from_defaults_list
        return editing.composed(
            defaults, lambda some: compose(some, repo), lambda default: self._load_single_config(default, repo)
        )

    def _load_configuration_impl(self, *args: Any, **kwargs: Any) -> DictConfig:
        with interpolations.bounded():
            config = super()._load_configuration_impl(*args, **kwargs)
            interpolations.check(config)
        faults = [*faults_of(config), *_packages_faults(config)]
        if _target(config.hydra.sweeper) == _BASIC_SWEEPER:
            lines = [*config.hydra.overrides.task, *config.hydra.overrides.hydra]
            faults += overriding.combinations_fault(OverridesParser.create().parse_overrides(lines))
        if faults:
            raise ConfigError(*faults)
        return config


def faults_of(config: DictConfig) -> Iterator[Fault]:
    """The faults of everything in a composed configuration that would call Python, also in Hydra's part.

    Interpolations are checked too, since a resolver can turn a text into a mapping.
    """
    hydra, written, made = config.hydra, _raw(config), _installed_targets()
    for place, got in _targets(written):
        part = place.split(".")[1] if place.startswith("hydra.") else ""
        if part not in _MADE or got not in made:
            yield must(place, _RULE, got)
    for part in _MADE:
        yield from _made_by_interpolation(hydra, part, f"hydra.{part}")
    for part in _LOGGING:
        yield from _logging_faults(written["hydra"][part], f"hydra.{part}", "")
    if hydra.job.env_set or hydra.job.env_copy:
        names = [*hydra.job.env_set, *hydra.job.env_copy]
        yield must("hydra.job.env_set", "be empty: variables are set in the shell", names)
    for path, text in (_raw(hydra.sweeper).get("params") or {}).items():
        yield from overriding.faults_of_entry(f"hydra.sweeper.params.{path}", f"{path}={text}")


def _packages_faults(config: DictConfig) -> Iterator[Fault]:
    """The faults of files that set values of several groups, but lack the line that makes Hydra put them there."""
    for group in _GLOBAL:
        if group in config:
            file = f"{OWN_FOLDER}/{group}/{config.hydra.runtime.choices.get(group)}.yaml"
            yield Fault(file, 'must have the first line "# @package _global_", as its values are those of other groups')


def _target(config: Any) -> Any:
    return None if config is None else config.get(_TARGET)


def _raw(config: Any) -> Any:
    return OmegaConf.to_container(config, resolve=False)


def _targets(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every `_target_` in plain containers, by its dotted path."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _targets(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            below = f"{path}.{key}".removeprefix(".")
            if _TARGET in str(key).split("."):
                if str(item) not in allowed():
                    yield below, item if isinstance(item, str) else shown(item)
            else:
                yield from _targets(item, below)


def _made_by_interpolation(above: Any, key: Any, path: str) -> Iterator[Fault]:
    """Faults of interpolations that give lists or mappings in a part in which Hydra calls targets."""
    node = above._get_node(key)
    if node._is_interpolation():
        if isinstance(above[key], DictConfig | ListConfig | dict | list):
            yield must(path, "be written out, as YAML calls no Python", node._value())
    elif isinstance(node, DictConfig | ListConfig) and not node._is_none() and not node._is_missing():
        for below in node if isinstance(node, DictConfig) else range(len(node)):
            yield from _made_by_interpolation(node, below, f"{path}.{below!s}")


def _installed_targets() -> frozenset[Any]:
    """The targets of installed plugins: their entries in Hydra's ConfigStore."""
    found = set[Any]()
    waiting: list[Any] = [ConfigStore.instance().repo.get("hydra", {})]
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, Mapping) and not isinstance(entry, DictConfig):
            waiting.extend(entry.values())
        else:
            found.update(got for _, got in _targets(_raw(entry.node)))
    return frozenset(found)


def _logging_faults(value: Any, path: str, key: str) -> Iterator[Fault]:
    """Faults of all that Python's `logging` would import, call or write to, except the log file of the run."""
    if isinstance(value, list | dict):
        for below, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _logging_faults(item, f"{path}.{below}", str(below))
    elif key in ("class", "()"):
        if value not in (_LOG_CLASSES if key == "class" else _LOG_FACTORIES) | allowed():
            yield must(path, _RULE, value)
    elif key == "filename":
        if value != _LOG_FILE:
            yield must(path, f"be {_LOG_FILE}", value)
    elif key == ".":
        yield must(path, _RULE, value)
    elif isinstance(value, str) and ("${" in value or ("://" in value and value not in _LOG_STREAMS | allowed())):
        yield must(path, "be plain, ext://sys.stdout or ext://sys.stderr", value)
